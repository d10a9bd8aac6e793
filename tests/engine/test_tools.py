"""Dialogs with functions: what is called, what is asked for again, what comes back, and how it stands in the trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from datasets.schema import Dialog, Message, ToolSpec
from generation.engine.dialog import Improvement
from generation.engine.instructions import Simple
from generation.engine.modifiers import WithContext
from generation.engine.protocols import Brief, ChatRequest, Failed, Made, Source, Speaker
from generation.engine.providers.offline import OfflineChat
from generation.engine.respondents import ToolResults, ToolUsing
from generation.engine.respondents.tool_using import ROUNDS
from generation.engine.simulators import Correspondent
from tests.engine.parts import Model, judge, maker, reply_to, source, verdict

WEATHER = ToolSpec(
    name="get_weather",
    description="Says how warm it is in a city.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["city"],
        "additionalProperties": False,
    },
)
BOOKING = ToolSpec(
    name="book",
    description="Books a room.",
    parameters={
        "type": "object",
        "properties": {"guest": {"$ref": "#/$defs/Guest"}},
        "required": ["guest"],
        "$defs": {"Guest": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
    },
)
Say = Callable[[ChatRequest], str | Exception]


def step(*calls: tuple[str, Any], content: str = "", **more: Any) -> str:
    called = [{"name": name, "arguments": arguments} for name, arguments in calls]
    return json.dumps({"reasoning": "It is needed.", "tool_calls": called, "content": content, **more})


BERN = step(("get_weather", {"city": "Bern"}))


def steps(*replies: str, results: str = '{"celsius": 21}') -> Say:
    """These replies of the assistant one after the other, then answers in words."""
    left = list(replies)

    def say(request: ChatRequest) -> str | Exception:
        if request.operation in ("answer", "improve"):
            return left.pop(0) if left else step(content="It is 21 degrees.")
        return results if request.operation == "tool_result" else reply_to(request)

    return say


async def talk(model: Any, *, turns: int = 1, tools: tuple[ToolSpec, ...] = (WEATHER, BOOKING), **parts: Any) -> Any:
    speaker = Speaker(model)
    respondent = ToolUsing(speaker, ToolResults(speaker))
    contexts: tuple[Source, ...] = parts.pop("contexts", ())
    brief = Brief(seed=1, turns=turns, tools=tools, contexts=contexts)
    return await maker(model, respondent=respondent, **parts).make(brief)


async def dialog_of(model: Model, **more: Any) -> Dialog:
    outcome = await talk(model, **more)
    assert isinstance(outcome, Made), outcome
    return outcome.dialog


def roles(dialog: Dialog) -> list[str]:
    return [message.role + "!" * len(message.tool_calls) for message in dialog.messages]


async def test_a_function_is_called_its_result_made_up_and_the_user_answered_from_it() -> None:
    model = Model(steps(BERN))
    dialog = await dialog_of(model)
    assert roles(dialog) == ["user", "assistant!", "tool", "assistant"]
    _, called, result, answer = dialog.messages
    (call,) = called.tool_calls
    assert (call.name, call.arguments, call.id) == ("get_weather", {"city": "Bern"}, "call_1")
    assert (result.tool_call_id, json.loads(result.content)) == ("call_1", {"celsius": 21})
    assert (called.content, called.reasoning, answer.content) == ("", "It is needed.", "It is 21 degrees.")
    assert dialog.tools == (WEATHER, BOOKING)
    assert "celsius" in model.of("answer")[-1].turns[-1].content


async def test_each_message_is_told_by_the_trace_which_call_wrote_it() -> None:
    dialog = await dialog_of(Model(steps(BERN, step(content="21."), step(("book", {"guest": {"name": "A"}})))), turns=2)
    assert roles(dialog) == ["user", "assistant!", "tool", "assistant", "user", "assistant!", "tool", "assistant"]
    operations = [dialog.trace.written_by(index).operation for index in range(8)]  # type: ignore[union-attr]
    assert operations == [
        "instruction", "answer", "tool_result", "answer", "question", "answer", "tool_result", "answer"
    ]  # fmt: skip
    for index, message in enumerate(dialog.messages):
        wrote = dialog.trace.written_by(index)
        assert wrote is not None
        said = dialog.trace.texts[wrote.reply]
        assert (message.tool_calls[0].name if message.tool_calls else message.content[:5]) in said


async def test_several_calls_at_once_each_get_their_result_and_ids_never_repeat() -> None:
    twice = step(("get_weather", {"city": "Bern"}), ("get_weather", {"city": "Thun", "days": 2}))
    dialog = await dialog_of(Model(steps(twice, step(content="Warm."), twice)), turns=2)
    called = [call.id for message in dialog.messages for call in message.tool_calls]
    assert called == ["call_1", "call_2", "call_3", "call_4"]
    assert [message.tool_call_id for message in dialog.messages if message.role == "tool"] == called


async def test_the_stand_in_for_a_function_knows_its_schema_arguments_and_earlier_results_and_nobody() -> None:
    model = Model(steps(BERN, step(("get_weather", {"city": "Thun"}))))
    await dialog_of(model, modifier=WithContext(), contexts=(source(1, "Alps are high."),))
    second = model.of("tool_result")[-1]
    said = "\n".join(turn.content for turn in second.turns)
    assert '"city": "Thun"' in said
    assert 'get_weather({"city": "Bern"}) returned {"celsius": 21}' in said
    assert '"minimum": 1' in said
    for private in ("You help.", "real need", "How do I reset it?", "Alps"):
        assert private not in said


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (step(("get_weather", {"town": "Bern"})), "The arguments of get_weather do not fit it"),
        (step(("get_weather", {"city": "Bern", "days": 0})), "days: 0 is less than the minimum of 1"),
        (step(("book", {"guest": {}})), "guest: 'name' is a required property"),
        (step(("get_weather", "no JSON")), "tool_calls.0.arguments"),
        (step(("get_weather", ["Bern"])), "tool_calls.0.arguments"),
        (step(("get_wether", {"city": "Bern"})), "“get_wether”, which is none of its functions"),
        (BERN.replace('"Bern"', "NaN"), "not JSON"),
        (step(), "The assistant said nothing."),
        (step(*[("get_weather", {"city": "Bern"})] * 9), "called 9 functions at once"),
        ("I would call the weather function.", "not JSON"),
    ],
)
async def test_a_call_that_does_not_fit_is_asked_for_again_and_given_up_after_three_tries(bad: str, why: str) -> None:
    model = Model(steps(bad, BERN))
    dialog = await dialog_of(model)
    assert dialog.messages[1].tool_calls[0].arguments == {"city": "Bern"}
    assert len(model.of("answer")) == 3
    assert [step.message for step in dialog.trace.steps if step.operation == "answer"] == [None, 1, 3]
    outcome = await talk(Model(steps(bad, bad, bad)))
    assert isinstance(outcome, Failed)
    assert outcome.kind == "dialog"
    assert why in outcome.error


@pytest.mark.parametrize(
    "reply",
    [
        step(("get_weather", '{"city": "Bern"}')),
        step(("get_weather", {"city": "Bern", "days": None})),
        json.dumps({"tool_calls": [{"function": {"name": "get_weather", "arguments": '{"city": "Bern"}'}}]}),
        "Sure!\n```json\n" + BERN + "\n```",
        step(("get_weather", {"city": "Bern"}), content="It is surely 40 degrees."),
    ],
)
async def test_arguments_are_an_object_however_models_wrap_them_and_what_is_said_beside_a_call_is_left_out(
    reply: str,
) -> None:
    dialog = await dialog_of(Model(steps(reply)))
    assert dialog.messages[1].tool_calls[0].arguments == {"city": "Bern"}
    assert dialog.messages[1].content == ""


async def test_texts_that_no_database_keeps_are_mended_in_arguments_and_results() -> None:
    hostile = "Be\x00rn\ud83d"
    model = Model(steps(step(("get_weather", {"city": hostile})), results=json.dumps({"at": hostile})))
    dialog = await dialog_of(model)
    for text in (dialog.messages[1].tool_calls[0].arguments["city"], json.loads(dialog.messages[2].content)["at"]):
        assert text == "Bern\ufffd"
        text.encode()


async def test_a_result_that_is_no_json_object_is_asked_for_again() -> None:
    replies = ["21 degrees", "It is warm.", '{"celsius": 21}']
    model = Model(steps(BERN))
    usual = model.say
    model.say = lambda request: replies.pop(0) if request.operation == "tool_result" else usual(request)
    dialog = await dialog_of(model)
    assert dialog.messages[2].content == '{"celsius": 21}'


async def test_after_three_rounds_of_calls_an_answer_in_words_is_due() -> None:
    model = Model(steps(*[BERN] * ROUNDS, step(content="Enough.")))
    dialog = await dialog_of(model)
    assert roles(dialog) == ["user", *["assistant!", "tool"] * ROUNDS, "assistant"]
    *offered, last = model.of("answer")
    assert all("tool_calls" in request.schema["properties"] for request in offered)  # type: ignore[index]
    assert "tool_calls" not in last.schema["properties"]  # type: ignore[index]
    assert isinstance(await talk(Model(steps(*[BERN] * 9))), Failed)


async def test_an_assistant_may_ask_back_first_but_a_dialog_never_ends_without_a_call() -> None:
    back = step(content="In which city?")
    dialog = await dialog_of(Model(steps(back, BERN)), turns=2)
    assert roles(dialog) == ["user", "assistant", "user", "assistant!", "tool", "assistant"]
    model = Model(steps(back, BERN))
    assert roles(await dialog_of(model)) == ["user", "assistant!", "tool", "assistant"]
    assert "you have not used a function yet" in model.of("answer")[0].turns[0].content
    outcome = await talk(Model(steps(back, back, back)))
    assert isinstance(outcome, Failed)
    assert "without any function having been called" in outcome.error


async def test_the_simulated_user_never_sees_calls_or_results() -> None:
    model = Model(steps(BERN, results='{"secret": "x81"}'))
    await dialog_of(model, turns=2)
    (asked,) = model.of("question")
    said = "\n".join(turn.content for turn in asked.turns)
    assert "It is 21 degrees." in said
    assert "x81" not in said
    assert "get_weather" not in said


async def test_a_servers_own_reasoning_is_kept_before_that_of_the_reply() -> None:
    class Thinking(Model):
        async def complete(self, request: ChatRequest) -> Any:
            return replace(await Model.complete(self, request), reasoning="Thought through.")

    dialog = await dialog_of(Thinking(steps(BERN)))
    assert [message.reasoning for message in dialog.messages] == ["", "Thought through.", "", "Thought through."]


async def test_what_stands_before_the_assistant_is_told_with_each_of_its_messages() -> None:
    passage = source(1, "Bern lies on the Aare.")
    dialog = await dialog_of(Model(steps(BERN)), modifier=WithContext(), contexts=(passage,))
    assert [bool(dialog.trace.written_by(index).sources) for index in range(4)] == [False, True, False, True]  # type: ignore[union-attr]


async def test_a_dialog_with_functions_is_judged_and_improved_as_any_other() -> None:
    usual = steps(BERN, step(content="Warm."), BERN, step(content="21 degrees."))
    scores = iter([0.1, 0.9])

    def say(request: ChatRequest) -> str | Exception:
        if request.operation != "judge":
            return usual(request)
        names = request.schema["properties"]["scores"]["properties"]  # type: ignore[index]
        return verdict(dict.fromkeys(names, next(scores)), first_bad=4, feedback="Give the number.")

    model = Model(say)
    outcome = await talk(model, evaluator=judge(model), improvement=Improvement(1))
    assert [attempt.overall for attempt in outcome.attempts] == [0.1, 0.9]
    assert outcome.dialog.messages[-1].content == "21 degrees."
    assert [call.id for message in outcome.dialog.messages for call in message.tool_calls] == ["call_1"]
    assert all(isinstance(message, Message) for message in outcome.dialog.messages)


@pytest.mark.parametrize("seed", range(5))
async def test_the_offline_model_asks_for_calls_and_stands_for_functions(seed: int) -> None:
    speaker = Speaker(OfflineChat())
    respondent = ToolUsing(speaker, ToolResults(speaker))
    brief = Brief(seed=seed, turns=2, tools=(WEATHER, BOOKING))
    parts = {"instructions": Simple(speaker), "simulator": Correspondent(speaker), "respondent": respondent}
    outcome = await maker(Model(), **parts).make(brief)
    assert isinstance(outcome, Made), outcome
    assert roles(outcome.dialog)[:4] == ["user", "assistant!", "tool", "assistant"]
    assert json.loads(outcome.dialog.messages[2].content)["offline"] is True
