"""What trainers get of dialogs with functions, and of rows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from datasets.formats import FORMATS, Options, Skip, encode
from datasets.schema import Dialog, Message, ToolCall, ToolSpec
from tests.factories import make_dialog, make_source, make_trace

WEATHER = ToolSpec(
    name="weather",
    description="How warm it is.",
    parameters={"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]},
)
FUNCTION = {"type": "function", "function": WEATHER.model_dump(mode="json")}


def asked() -> Message:
    return Message(role="user", content="How warm is it?")


def called(*ids: str, content: str = "") -> Message:
    calls = tuple(ToolCall(id=one, name="weather", arguments={"at": f"ß{n}"}) for n, one in enumerate(ids))
    return Message(role="assistant", content=content, tool_calls=calls)


def result(id: str, content: str = '{"celsius": 21}') -> Message:
    return Message(role="tool", content=content, tool_call_id=id)


def answered() -> Message:
    return Message(role="assistant", content="Warm.")


TWO = Dialog(
    messages=(asked(), called("c1", "c2"), result("c2", "23"), result("c1", "warm"), answered()), tools=(WEATHER,)
)


def row_of(name: str, dialog: Dialog, **options: bool) -> Any:
    made = FORMATS[name].row(dialog, Options(**options))
    return made if isinstance(made, Skip) else json.loads(encode(made))


def test_messages_have_the_functions_as_a_column_and_arguments_as_objects() -> None:
    row = row_of("messages", TWO)
    assert row["tools"] == [FUNCTION]
    _, calls, first, second, _ = row["messages"]
    assert [call["function"]["arguments"] for call in calls["tool_calls"]] == [{"at": "ß0"}, {"at": "ß1"}]
    assert (first["name"], second["content"]) == ("weather", "warm")


def test_openai_has_ids_and_arguments_as_a_string_of_json() -> None:
    row = row_of("openai", TWO, system_prompt=True)
    assert row["tools"] == [FUNCTION]
    _, calls, first, second, answer = row["messages"]
    assert calls["content"] is None
    assert calls["tool_calls"][1] == {
        "id": "c2",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"at": "ß1"}'},
    }
    assert first == {"role": "tool", "tool_call_id": "c2", "content": "23"}
    assert second["tool_call_id"] == "c1"
    assert answer == {"role": "assistant", "content": "Warm."}


def test_sharegpt_has_the_functions_as_a_string_and_calls_that_were_made_together_as_a_list() -> None:
    row = row_of("sharegpt", TWO)
    assert json.loads(row["tools"]) == [FUNCTION["function"]]
    assert [turn["from"] for turn in row["conversations"]] == ["human", "function_call", "observation", "gpt"]
    _, calls, results, _ = row["conversations"]
    assert json.loads(calls["value"])[1] == {"name": "weather", "arguments": {"at": "ß1"}}
    assert json.loads(results["value"]) == [23, "warm"]
    one = Dialog(messages=(asked(), called("c1"), result("c1"), answered()))
    row = row_of("sharegpt", one)
    assert "tools" not in row
    assert row["conversations"][2] == {"from": "observation", "value": '{"celsius": 21}'}


@pytest.mark.parametrize("ids", [("", ""), ("c", "c")])
def test_calls_whose_ids_do_not_tell_them_apart_are_numbered(ids: tuple[str, str]) -> None:
    first, second = ids
    dialog = Dialog(
        messages=(
            asked(),
            called(first),
            result(first),
            answered(),
            asked(),
            called(second),
            result(second),
            answered(),
        )
    )
    messages = row_of("openai", dialog)["messages"]
    assert [one["tool_calls"][0]["id"] for one in messages if "tool_calls" in one] == ["call_1", "call_2"]
    assert [one["tool_call_id"] for one in messages if one["role"] == "tool"] == ["call_1", "call_2"]


@pytest.mark.parametrize("name", ["messages", "openai", "sharegpt"])
@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ((asked(), called("c1"), answered()), "One of its function calls has no result."),
        ((asked(), called("c1", "c2"), result("c1"), answered()), "One of its function calls has no result."),
        ((asked(), result("c1"), answered()), "It has a function's result without its call."),
        ((asked(), called("c1"), result("c1")), "It does not end with an answer."),
    ],
)
def test_calls_without_results_and_results_without_calls_are_skipped(
    name: str, messages: tuple[Message, ...], why: str
) -> None:
    row = row_of(name, Dialog(messages=messages))
    assert isinstance(row, Skip)
    assert row.reason == why


def test_only_sharegpt_skips_an_answer_that_speaks_while_it_calls() -> None:
    dialog = Dialog(messages=(asked(), called("c1", content="Let me look."), result("c1"), answered()))
    assert isinstance(row_of("sharegpt", dialog), Skip)
    assert row_of("openai", dialog)["messages"][1]["content"] == "Let me look."


# -- rows -----------------------------------------------------------------------------------------------------------------

OUTPUT = {"why": "It blinks.", "a": 1, "tags": ["ß"]}


def card(**fields: Any) -> Dialog:
    trace = make_trace(make_source(text="Hold it."), make_source(text="Hold it."), make_source(text="Wait."))
    stored = dict(sorted(OUTPUT.items()))
    return make_dialog("Make a card.", json.dumps(OUTPUT), output=stored, persona="Ada", trace=trace, **fields)


def test_a_row_has_instruction_context_persona_and_the_output_in_its_own_order() -> None:
    row = row_of("rows", card())
    assert list(row) == ["instruction", "context", "persona", "output"]
    assert (row["instruction"], row["context"], row["persona"]) == ("Make a card.", ["Hold it.", "Wait."], "Ada")
    assert list(row["output"].items()) == list(OUTPUT.items())
    assert row_of("rows", card(), system_prompt=True)["system"] == "You are a helpful expert."


def test_an_output_whose_text_was_changed_is_exported_as_it_was_checked() -> None:
    dialog = make_dialog("Make a card.", "Rather not.", output=OUTPUT)
    assert row_of("rows", dialog)["output"] == OUTPUT


def test_conversations_are_no_rows_and_rows_are_conversations_too() -> None:
    assert isinstance(row_of("rows", make_dialog()), Skip)
    assert isinstance(row_of("rows", make_dialog("", "{}", output={})), Skip)
    assert json.loads(row_of("messages", card())["messages"][1]["content"]) == OUTPUT
