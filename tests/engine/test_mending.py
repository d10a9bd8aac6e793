"""One finished dialog made better: from where, told what, at what cost, and what stays as it was."""

from __future__ import annotations

from typing import Any

import pytest

from datasets.schema import Dialog, Message, Score, Step, Trace
from generation.engine.dialog import DialogMaker
from generation.engine.errors import FatalError, TransientError
from generation.engine.mending import Mending, Remembered, kept_of, mend, passages_of
from generation.engine.mending_estimate import expected
from generation.engine.protocols import Brief, Failed, Made, Outcome, Verdict
from tests.engine.parts import Model, in_turn, judge, maker, reply_to, source, verdict

SIX = ("One?", "First.", "Two?", "Second.", "Three?", "Third.")
BAD = Verdict("judge", "m", (), 0.3, "The second answer is wrong.", first_bad=3)


def dialog(*said: str, **fields: Any) -> Dialog:
    messages = (Message(role=("user", "assistant")[n % 2], content=text) for n, text in enumerate(said or SIX))
    return Dialog(**{"messages": tuple(messages), "system_prompt": "You help.", **fields})


async def mended(
    model: Model,
    base: Dialog | None = None,
    known: Verdict | None = BAD,
    maker_: DialogMaker | None = None,
    **wanted: Any,
) -> Outcome:
    base = base or dialog()
    parts = maker_ or maker(model, evaluator=judge(model))
    return await mend(parts, Brief(seed=7, turns=base.turns), base, known, Mending(**wanted))


def made(outcome: Outcome) -> Made:
    assert isinstance(outcome, Made), outcome
    return outcome


def failed(outcome: Outcome) -> Failed:
    assert isinstance(outcome, Failed), outcome
    return outcome


# -- from where on ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "first_bad", "kept"),
    [
        ({}, 5, 5),
        ({}, 3, 3),
        ({}, None, 1),
        ({"start": "beginning"}, 5, 1),
        ({"start": "turn", "turn": 1}, 5, 1),
        ({"start": "turn", "turn": 3}, None, 5),
        ({"start": "turn", "turn": 8}, None, 5),
    ],
)
def test_it_is_made_anew_from_the_question_before_the_answer_that_is_meant(
    wanted: dict[str, Any], first_bad: int | None, kept: int
) -> None:
    assert kept_of(dialog(), Mending(**wanted), Verdict("j", "m", (), 0.5, first_bad=first_bad)) == kept


def test_a_system_message_in_front_is_kept_with_the_first_question() -> None:
    base = dialog().model_copy(update={"messages": (Message(role="system", content="Be brief."), *dialog().messages)})
    assert kept_of(base, Mending(start="beginning"), None) == 2
    assert kept_of(base, Mending(), Verdict("j", "m", (), 0.5, first_bad=4)) == 4


async def test_the_proposal_has_as_many_turns_and_what_stood_before_unchanged() -> None:
    outcome = made(await mended(Model()))
    first, better = outcome.attempts
    assert better.dialog.messages[:3] == first.dialog.messages[:3]
    assert [message.role for message in better.dialog.messages] == ["user", "assistant"] * 3
    assert better.dialog.messages[3].content not in SIX
    assert (better.origin, better.parent, better.overall) == ("improved", 0, 0.5)


# -- told what ----------------------------------------------------------------------------------------------------------


async def test_a_persons_instruction_is_told_in_place_of_what_the_judge_said() -> None:
    model = Model()
    await mended(model, instruction="Name the fuse.")
    for request in model.of("improve"):
        assert "Name the fuse." in request.turns[0].content
        assert "wrong" not in request.turns[0].content
    assert "Second." in model.of("improve")[0].turns[0].content
    assert "Second." not in model.of("improve")[1].turns[0].content


async def test_criteria_speak_where_the_judge_said_nothing_on_the_whole() -> None:
    model = Model()
    marks = (
        Score(criterion="factuality", value=0.2, feedback="It is E5."),
        Score(criterion="grounding", value=None, feedback="No passages."),
    )
    await mended(model, known=Verdict("judge", "m", marks, 0.2))
    said = model.of("improve")[0].turns[0].content
    assert "factuality: It is E5." in said
    assert "No passages." not in said


async def test_it_is_judged_first_when_nobody_has() -> None:
    model = Model(in_turn("judge", verdict({"factuality": 0.2, "helpfulness": 0.4}, first_bad="4", feedback="Wrong.")))
    outcome = made(await mended(model, known=None))
    assert outcome.attempts[0].verdict
    assert outcome.attempts[0].overall == pytest.approx(0.3)
    assert outcome.attempts[1].dialog.messages[:3] == dialog().messages[:3]
    assert len(model.of("judge")) == 2
    assert "Wrong." in model.of("improve")[0].turns[0].content


async def test_a_verdict_that_is_known_is_not_given_again() -> None:
    model = Model()
    outcome = made(await mended(model))
    assert outcome.attempts[0].verdict is None
    assert len(model.of("judge")) == 1


@pytest.mark.parametrize(
    ("known", "wanted", "reason"),
    [
        (None, {"judge": False}, "Nobody has judged it"),
        (Verdict("judge", "m", (), 0.9, ""), {}, "found nothing wanting"),
        (Verdict("judge", "m", (), None, error="No JSON."), {}, "No JSON."),
    ],
)
async def test_without_anything_to_mend_by_it_fails_with_a_way_on(
    known: Verdict | None, wanted: dict[str, Any], reason: str
) -> None:
    model = Model()
    outcome = failed(await mended(model, known=known, **wanted))
    assert (outcome.kind, reason in outcome.error) == ("dialog", True)
    assert model.asked == []


async def test_a_judge_that_fails_leaves_the_proposal_without_a_score() -> None:
    model = Model(lambda request: "no JSON" if request.operation == "judge" else reply_to(request))
    better = made(await mended(model, instruction="Shorter.")).attempts[1]
    assert better.overall is None
    assert better.verdict
    assert better.verdict.error


@pytest.mark.parametrize(("error", "kind"), [(FatalError("No key."), "fatal"), (TransientError("Busy."), "transient")])
async def test_what_goes_wrong_is_an_outcome_with_the_calls_that_it_cost(error: Exception, kind: str) -> None:
    model = Model(in_turn("improve", "A new answer.", error))
    outcome = failed(await mended(model))
    assert outcome.kind == kind
    assert [step.operation for step in outcome.steps] == ["improve", "question"]


async def test_a_dialog_without_a_question_is_refused() -> None:
    base = Dialog(messages=(Message(role="assistant", content="Hello."),))
    assert "no question" in failed(await mended(Model(), base=base)).error


# -- what is kept, and what it costs --------------------------------------------------------------------------------------


def traced(*, tokens: int = 100) -> Dialog:
    steps = tuple(
        Step(
            operation="answer",
            model="old",
            request=(("user", 0),),
            reply=0,
            message=index,
            prompt_tokens=tokens * index,
            completion_tokens=tokens,
            sources=(source(index, score=None if index == 1 else 0.5),),
        )
        for index in range(6)
    )
    return dialog(trace=Trace(texts=("said",), steps=steps), persona="Ada", extra={"id": 1})


async def test_only_new_calls_are_paid_and_the_trace_tells_of_the_old_ones_that_stand() -> None:
    outcome = made(await mended(Model(), base=traced()))
    assert [step.operation for step in outcome.steps] == ["improve", "question", "improve", "judge"]
    steps = outcome.attempts[1].dialog.trace.steps
    assert [step.model for step in steps[:3]] == ["old"] * 3
    assert [step.message for step in steps] == [0, 1, 2, 3, 4, 5, None]


async def test_prompt_persona_and_what_an_import_said_stay_as_they_were() -> None:
    better = made(await mended(Model(), base=traced())).attempts[1].dialog
    assert (better.persona, better.extra, better.system_prompt) == ("Ada", {"id": 1}, "You help.")


async def test_passages_are_remembered_where_they_cannot_be_looked_up() -> None:
    base = traced()
    assert [one.passage for one in passages_of(base, retrieved=False)] == [1]
    assert [one.passage for one in passages_of(base, retrieved=True)] == [0, 1, 2, 3, 4, 5]
    given = await Remembered().modify("You help.", Brief(seed=1, turns=1, contexts=(source(3),)), "Why?")
    assert "Passage 3 says something." in given.text
    assert (await Remembered().modify("You help.", Brief(seed=1, turns=1), "Why?")).text == "You help."


def test_an_estimate_is_what_the_trace_says_that_it_cost_and_the_note() -> None:
    loads = expected(traced(), Mending(judge=False), BAD)
    assert {role: load.calls for role, load in loads.items()} == {"respondent": 2, "correspondent": 1}
    assert loads["respondent"].completion == 200
    assert 800 < loads["respondent"].prompt < 800 + 2 * 250
    assert loads["correspondent"].prompt == 400


def test_judging_is_reckoned_twice_where_nobody_has_judged_yet() -> None:
    assert expected(dialog(), Mending(), BAD)["judge"].calls == 1
    assert expected(dialog(), Mending(), None)["judge"].calls == 2


async def test_the_calls_of_an_estimate_are_the_calls_that_are_made() -> None:
    for known, wanted in ((BAD, Mending()), (None, Mending(start="beginning")), (BAD, Mending(start="turn", turn=3))):
        model = Model(in_turn("judge", verdict({"factuality": 0.2, "helpfulness": 0.4}, feedback="Wrong.")))
        made(await mend(maker(model, evaluator=judge(model)), Brief(seed=1, turns=3), dialog(), known, wanted))
        assert len(model.asked) == sum(load.calls for load in expected(dialog(), wanted, known).values())
