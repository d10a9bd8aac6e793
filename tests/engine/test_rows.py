"""Structured rows: one instruction, one value of a JSON schema; what does not fit is asked for again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from generation.engine.dialog import Improvement
from generation.engine.errors import TransientError
from generation.engine.modifiers import WithContext, WithRetrieval
from generation.engine.openings import Known
from generation.engine.protocols import Brief, ChatRequest, Failed, Made, Outcome, PersonaSketch, Speaker
from generation.engine.providers.offline import OfflineChat
from generation.engine.rows import FormFilling, Nobody, RowMaker
from tests.engine.parts import Library, Model, contextual, judge, maker, reply_to, source, verdict

FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "kind": {"enum": ["how-to", "fact"]},
        "minutes": {"type": "integer", "minimum": 1},
        "sent": {"type": "string", "format": "email"},
    },
    "required": ["title", "kind"],
    "additionalProperties": False,
}
GOOD: dict[str, Any] = {"title": "Zurücksetzen", "kind": "how-to", "minutes": 2}


def rows(*replies: object) -> Callable[[ChatRequest], str | Exception]:
    left = list(replies)

    def say(request: ChatRequest) -> str | Exception:
        if request.operation not in ("row", "improve"):
            return reply_to(request)
        reply = left.pop(0) if left else GOOD
        return reply if isinstance(reply, str | Exception) else json.dumps(reply)

    return say


def row_maker(model: Any, **parts: Any) -> RowMaker:
    return RowMaker.of(maker(model, **{"respondent": FormFilling(Speaker(model), FORM), "simulator": Nobody()} | parts))


def made(outcome: Outcome) -> Made:
    assert isinstance(outcome, Made), outcome
    return outcome


async def test_a_row_is_one_instruction_and_one_call_and_stands_in_the_dialog_as_text_and_as_value() -> None:
    model = Model(rows())
    outcome = made(await row_maker(model).make(Brief(seed=1, turns=5, persona=PersonaSketch("Ada", "A nurse."))))
    assert [request.operation for request in model.asked] == ["instruction", "row"]
    dialog = outcome.dialog
    assert [message.role for message in dialog.messages] == ["user", "assistant"]
    assert dialog.messages[0].content == "How do I reset it?"
    assert dialog.messages[1].content == '{\n  "title": "Zurücksetzen",\n  "kind": "how-to",\n  "minutes": 2\n}'
    assert (dialog.output, dialog.turns, dialog.persona) == (GOOD, 1, "A nurse.")
    assert [(step.operation, step.message) for step in outcome.steps] == [("instruction", 0), ("row", 1)]


async def test_the_model_is_asked_in_the_schemas_form_with_the_prompt_and_the_passages() -> None:
    model = Model(rows())
    passage = source(1, "Hold the button.")
    library = Library({"reset": (source(2, "Ten seconds."),)})
    modifier = WithRetrieval(library, with_context=True)
    parts = {"instructions": contextual(model), "modifier": modifier}
    outcome = made(await row_maker(model, **parts).make(Brief(seed=1, turns=1, contexts=(passage,))))
    (asked,) = model.of("row")
    assert (asked.schema_name, asked.temperature) == ("row", None)
    assert asked.schema["properties"]["title"] == {"type": "string"}  # type: ignore[index]
    assert asked.schema["properties"]["minutes"]["anyOf"][1] == {"type": "null"}  # type: ignore[index]
    for text in ("You help.", "Hold the button.", "Ten seconds.", "one JSON object"):
        assert text in asked.turns[0].content
    assert [turn.content for turn in asked.turns[1:]] == ["How do I reset it?"]
    wrote = outcome.dialog.trace.written_by(1)
    assert wrote is not None
    assert {one.passage for one in wrote.sources} == {1, 2}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"title": "A"}, "'kind' is a required property"),
        (GOOD | {"kind": "poem"}, "kind: 'poem' is not one of ['how-to', 'fact']"),
        (GOOD | {"minutes": 0}, "minutes: 0 is less than the minimum"),
        (GOOD | {"more": 1}, "Additional properties are not allowed"),
        (GOOD | {"sent": "nowhere"}, "sent: 'nowhere' is not a 'email'"),
        ([GOOD], "is not of type 'object'"),
        (json.dumps(GOOD).replace("2", "NaN"), "not JSON"),
        ("No idea.", "not JSON"),
    ],
)
async def test_a_row_that_does_not_fit_is_asked_for_again_and_given_up_after_three_tries(bad: object, why: str) -> None:
    model = Model(rows(bad, bad))
    assert made(await row_maker(model).make(Brief(seed=1, turns=1))).dialog.output == GOOD
    assert len(model.of("row")) == 3
    outcome = await row_maker(Model(rows(bad, bad, bad))).make(Brief(seed=1, turns=1))
    assert isinstance(outcome, Failed)
    assert outcome.kind == "dialog"
    assert why in outcome.error
    assert len(outcome.steps) == 4


async def test_a_null_for_what_may_be_left_out_is_left_out() -> None:
    model = Model(rows(GOOD | {"minutes": None, "sent": None}))
    outcome = made(await row_maker(model).make(Brief(seed=1, turns=1)))
    assert outcome.dialog.output == {"title": "Zurücksetzen", "kind": "how-to"}


async def test_a_row_that_fails_loses_only_itself() -> None:
    model = Model(rows(GOOD, TransientError("down"), GOOD))
    maker = row_maker(model)
    outcomes = [await maker.make(Brief(seed=seed, turns=1)) for seed in range(3)]
    assert [type(outcome) for outcome in outcomes] == [Made, Failed, Made]
    assert outcomes[1].kind == "transient"  # type: ignore[union-attr]


async def test_instructions_of_one_run_are_kept_apart() -> None:
    openings = Known()
    maker = row_maker(Model(rows()), openings=openings)
    made(await maker.make(Brief(seed=1, turns=1)))
    outcome = await maker.make(Brief(seed=2, turns=1))
    assert isinstance(outcome, Failed)
    assert "near-duplicates" in outcome.error


async def test_rows_are_judged_and_improved_and_each_attempt_keeps_its_row() -> None:
    scores = iter([0.2, 0.9])
    usual = rows(GOOD, GOOD | {"minutes": 10})

    def say(request: ChatRequest) -> str | Exception:
        if request.operation != "judge":
            return usual(request)
        names = request.schema["properties"]["scores"]["properties"]  # type: ignore[index]
        return verdict(dict.fromkeys(names, next(scores)), first_bad=2, feedback="It takes ten minutes.")

    model = Model(say)
    parts = {"evaluator": judge(model), "improvement": Improvement(2), "modifier": WithContext()}
    outcome = made(await row_maker(model, **parts).make(Brief(seed=1, turns=1, contexts=(source(1),))))
    assert [attempt.dialog.output["minutes"] for attempt in outcome.attempts] == [2, 10]
    assert outcome.dialog.output["minutes"] == 10
    (again,) = model.of("improve")
    assert "It takes ten minutes." in again.turns[0].content
    assert again.schema is not None


@pytest.mark.parametrize("seed", range(6))
async def test_the_offline_model_fills_forms_out_of_the_passages(seed: int) -> None:
    text = "Hold the button for 12 minutes. The light blinks blue. A guest code is valid for 30 days."
    speaker = Speaker(OfflineChat())
    parts = {"respondent": FormFilling(speaker, FORM), "instructions": contextual(OfflineChat())}  # type: ignore[arg-type]
    maker = row_maker(OfflineChat(), **parts, modifier=WithContext())
    output = made(await maker.make(Brief(seed=seed, turns=1, contexts=(source(1, text),)))).dialog.output
    assert output["title"] in text
    assert output["minutes"] in (12, 30)
