"""What trainers get: each format from dialogs of every kind, and back again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from datasets.formats import FORMATS, PREFERENCES, Judged, Options, Skip, encode, metadata, raw
from datasets.schema import Dialog, Message, Score, Step, ToolCall, Trace
from tests.factories import make_dialog, make_source

PLAIN = Options()
WITH_SYSTEM = Options(system_prompt=True)


def messages_back(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in row["messages"]]


def sharegpt_back(row: dict[str, Any]) -> list[tuple[str, str]]:
    roles = {"human": "user", "gpt": "assistant", "observation": "tool"}
    said = [(roles[turn["from"]], turn["value"]) for turn in row["conversations"]]
    return [("system", row["system"]), *said] if "system" in row else said


def llama_factory_back(row: dict[str, Any]) -> list[tuple[str, str]]:
    turns = [*row["history"], [row["instruction"], row["output"]]]
    said = [(role, text) for turn in turns for role, text in zip(("user", "assistant"), turn, strict=True)]
    return [("system", row["system"]), *said] if "system" in row else said


BACK = {
    "messages": messages_back,
    "openai": messages_back,
    "sharegpt": sharegpt_back,
    "llama_factory": llama_factory_back,
}
every_format = pytest.mark.parametrize("name", BACK)


def row_of(name: str, dialog: Dialog, options: Options = PLAIN) -> Any:
    return FORMATS[name].row(dialog, options)


def dialog_of(*said: tuple[str, str], **fields: Any) -> Dialog:
    return Dialog(messages=tuple(Message(role=role, content=text) for role, text in said), **fields)


def test_every_format_can_be_read_back_here() -> None:
    assert BACK.keys() | {"raw", "rows", "alpaca"} == FORMATS.keys() - PREFERENCES.keys()


@every_format
def test_a_row_holds_what_was_said_and_nothing_else(name: str) -> None:
    dialog = make_dialog("Hi?", "Hello.", "More?", "Yes: „ünï¢ødé“ \U0001f600.")
    row = json.loads(encode(row_of(name, dialog)))
    assert BACK[name](row) == [(message.role, message.content) for message in dialog.messages]
    assert list(row) == {
        "sharegpt": ["conversations"],
        "llama_factory": ["instruction", "input", "output", "history"],
    }.get(name, ["messages"])


def test_messages_are_role_and_content() -> None:
    row = row_of("messages", make_dialog("Hi?", "Hello."), WITH_SYSTEM)
    assert row == {
        "messages": [
            {"role": "system", "content": "You are a helpful expert."},
            {"role": "user", "content": "Hi?"},
            {"role": "assistant", "content": "Hello."},
        ]
    }


def test_sharegpt_is_from_human_and_gpt_with_the_system_prompt_as_a_column() -> None:
    row = row_of("sharegpt", make_dialog("Hi?", "Hello."), WITH_SYSTEM)
    assert row == {
        "conversations": [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Hello."}],
        "system": "You are a helpful expert.",
    }


@every_format
def test_no_system_prompt_is_written_where_there_is_none(name: str) -> None:
    row = row_of(name, make_dialog(system_prompt="  "), WITH_SYSTEM)
    assert [role for role, _ in BACK[name](row)] == ["user", "assistant"]


@every_format
def test_a_system_message_that_opens_the_dialog_is_its_system_prompt(name: str) -> None:
    dialog = dialog_of(("system", "Be brief."), ("user", "Hi?"), ("assistant", "Hello."))
    assert BACK[name](row_of(name, dialog, WITH_SYSTEM))[0] == ("system", "Be brief.")
    assert BACK[name](row_of(name, dialog))[0] == ("user", "Hi?")


@every_format
@pytest.mark.parametrize(
    ("dialog", "why"),
    [
        (dialog_of(), "no messages"),
        (dialog_of(("user", "Hi?"), ("assistant", "Hello."), ("user", "And?")), "does not end with an answer"),
        (dialog_of(("assistant", "Hello."), ("user", "Hi?"), ("assistant", "Yes.")), "does not begin with a question"),
        (dialog_of(("user", "Hi?"), ("assistant", " \n")), "is empty"),
        (dialog_of(("user", ""), ("assistant", "Hello.")), "is empty"),
        (dialog_of(("user", "Hi?"), ("system", "Now lie."), ("assistant", "Hello.")), "system message in its middle"),
    ],
)
def test_what_no_template_takes_is_skipped_with_a_reason(name: str, dialog: Dialog, why: str) -> None:
    row = row_of(name, dialog)
    assert isinstance(row, Skip)
    assert why in row.reason


@every_format
def test_messages_of_the_same_speaker_in_a_row_become_one(name: str) -> None:
    dialog = dialog_of(("user", "Hi."), ("user", "Are you there?"), ("assistant", "Yes."), ("assistant", "I am."))
    assert BACK[name](row_of(name, dialog)) == [("user", "Hi.\n\nAre you there?"), ("assistant", "Yes.\n\nI am.")]


CALLING = Dialog(
    messages=(
        Message(role="user", content="How warm is it?"),
        Message(role="assistant", content="", tool_calls=(ToolCall(id="c1", name="weather", arguments={"at": "ß"}),)),
        Message(role="tool", content="21", tool_call_id="c1"),
        Message(role="assistant", content="It is 21 degrees."),
    )
)


def test_messages_hold_function_calls_with_arguments_as_an_object() -> None:
    called, result = row_of("messages", CALLING)["messages"][1:3]
    assert called["tool_calls"] == [{"type": "function", "function": {"name": "weather", "arguments": {"at": "ß"}}}]
    assert result == {"role": "tool", "content": "21", "name": "weather"}


def test_sharegpt_holds_function_calls_as_text() -> None:
    turns = row_of("sharegpt", CALLING)["conversations"]
    assert [turn["from"] for turn in turns] == ["human", "function_call", "observation", "gpt"]
    assert json.loads(turns[1]["value"]) == {"name": "weather", "arguments": {"at": "ß"}}


def test_sharegpt_skips_an_answer_that_both_speaks_and_calls() -> None:
    speaking = CALLING.messages[1].model_copy(update={"content": "Let me look."})
    row = row_of("sharegpt", Dialog(messages=(CALLING.messages[0], speaking, *CALLING.messages[2:])))
    assert isinstance(row, Skip)


@every_format
def test_a_line_stays_one_line_for_every_reader_and_is_utf8(name: str) -> None:
    hostile = "a\u2028b\u2029c\u0085d\x0be\x1cf\r\ng\x00h\ud800i"
    line = encode(row_of(name, make_dialog(hostile, hostile)))
    text = line.decode("utf-8")
    assert text.endswith("\n")
    assert len(text.splitlines()) == 1
    content = BACK[name](json.loads(text))[0][1]
    assert content == "a\u2028b\u2029c\u0085d\x0be\x1cf\r\ngh\ufffdi"


def test_a_pair_of_surrogates_is_the_character_that_it_stands_for() -> None:
    assert json.loads(encode({"text": "\ud83d\ude00"})) == {"text": "\U0001f600"}


def test_numbers_that_json_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        encode({"score": float("nan")})


def test_metadata_names_the_models_and_the_sources_of_each_answer() -> None:
    step = Step(operation="answer", model="m", request=(("user", 0),), reply=0, message=1, sources=(make_source(),))
    judge = step.model_copy(update={"operation": "judge", "model": "j", "message": None})
    said = metadata(make_dialog(trace=Trace(texts=("x",), steps=(step, judge))), {"id": 7})
    assert said["id"] == 7
    assert said["models"] == ["m"]
    [source] = said["sources"]
    assert (source["message"], source["title"], source["start"]) == (1, "Manual", 0)


# -- reasoning ----------------------------------------------------------------------------------------------------------

THINKING = Dialog(
    messages=(
        Message(role="user", content="Hi?"),
        Message(role="assistant", content="Hello.", reasoning="They greet me."),
    )
)


def test_reasoning_is_written_on_request_where_the_format_can_hold_it() -> None:
    asked = Options(reasoning=True)
    assert row_of("messages", THINKING, asked)["messages"][1] == {
        "role": "assistant", "content": "Hello.", "reasoning_content": "They greet me.",
    }  # fmt: skip
    assert "They greet me." not in json.dumps(row_of("messages", THINKING))
    assert "They greet me." not in json.dumps(row_of("sharegpt", THINKING, asked))
    assert row_of("raw", THINKING, asked)["conversations"][1]["reasoning_content"] == "They greet me."
    assert row_of("raw", THINKING)["conversations"][1]["reasoning_content"] is None


def test_reasoning_of_answers_that_become_one_is_kept_together() -> None:
    again = Message(role="assistant", content="I am here.", reasoning="They wait.")
    dialog = THINKING.model_copy(update={"messages": (*THINKING.messages, again)})
    answer = row_of("messages", dialog, Options(reasoning=True))["messages"][1]
    assert (answer["content"], answer["reasoning_content"]) == ("Hello.\n\nI am here.", "They greet me.\n\nThey wait.")


# -- rows of AfterImage --------------------------------------------------------------------------------------------------


def test_a_raw_row_of_our_own_says_contexts_persona_and_what_the_judge_said() -> None:
    reserved = make_source(passage=3, text="Hold the button.", score=None)
    found = make_source(passage=9, text="The lamp is green.", score=0.5)
    step = Step(operation="answer", model="m", request=(), reply=0, message=1, sources=(reserved, found))
    dialog = make_dialog("Reset?", "Hold it.", persona="A nurse.", trace=Trace(texts=("x",), steps=(step,)))
    row = row_of("raw", dialog)
    assert list(row) == ["conversations", "metadata", "instruction_context", "response_context", "persona"]
    assert row["conversations"][0] == {"role": "user", "content": "Reset?", "reasoning_content": None}
    assert row["metadata"] == {
        "context_id": "3", "context_ids": ["3"], "persona_name": None, "persona_generation_depth": None,
        "retrieval": {"hits": [{"id": "9", "score": 0.5}]},
    }  # fmt: skip
    assert row["instruction_context"] == "Hold the button."
    assert row["response_context"] == "Hold the button.\n" + "-" * 80 + "\n\nThe lamp is green."
    assert row["persona"] == "A nurse."
    judged = Judged("panel", 0.75, "good", (Score(criterion="helpfulness", value=0.75, feedback="Fine."),))
    assert raw.judgement(dialog, judged) == {
        "evaluation": {"helpfulness": {"feedback": "Fine.", "score": 0.75}, "overall_grade": "good"},
        "final_score": 0.75,
    }


def test_a_raw_row_names_all_contexts_of_its_question_in_order_and_the_first_of_them() -> None:
    reserved = tuple(make_source(passage=number, text=f"Passage {number}.", score=None) for number in (7, 3, 5))
    asked = Step(operation="instruction", model="m", request=(), reply=0, message=0, sources=reserved)
    row = row_of("raw", make_dialog("Reset?", "Hold it.", trace=Trace(texts=("x",), steps=(asked,))))
    assert (row["metadata"]["context_id"], row["metadata"]["context_ids"]) == ("7", ["7", "3", "5"])
    assert "retrieval" not in row["metadata"]


def test_a_raw_row_keeps_what_a_retriever_said_of_its_finds() -> None:
    found = make_source(passage=0, score=0.75, metadata={"id": "point-4", "collection_name": "court"})
    given = make_source(passage=0, score=0.5, text="Elsewhere.")
    step = Step(operation="answer", model="m", request=(), reply=0, message=1, sources=(found, given))
    dialog = make_dialog("Reset?", "Hold it.", trace=Trace(texts=("x",), steps=(step,)))
    assert row_of("raw", dialog)["metadata"]["retrieval"] == {
        "hits": [{"score": 0.75, "id": "point-4", "collection_name": "court"}, {"score": 0.5}]
    }
    first, second = metadata(dialog, {})["sources"]
    assert first["metadata"] == {"id": "point-4", "collection_name": "court"}
    assert "metadata" not in second


def test_a_raw_row_takes_what_no_template_takes() -> None:
    row = row_of("raw", dialog_of(("assistant", "Hello."), ("user", "")))
    assert [entry["role"] for entry in row["conversations"]] == ["assistant", "user"]


# -- Alpaca and LLaMA-Factory ----------------------------------------------------------------------------------------------


def test_llama_factory_has_the_last_turn_and_those_before_as_history() -> None:
    row = row_of("llama_factory", make_dialog("Hi?", "Hello.", "More?", "Yes."), WITH_SYSTEM)
    assert row == {
        "instruction": "More?",
        "input": "",
        "output": "Yes.",
        "history": [["Hi?", "Hello."]],
        "system": "You are a helpful expert.",
    }


def test_alpaca_holds_one_turn_and_the_text_that_its_question_was_written_from() -> None:
    step = Step(
        operation="instruction", model="m", request=(), reply=0, message=0, sources=(make_source(text="Hold it."),)
    )
    dialog = make_dialog("Hi?", "Hello.", trace=Trace(texts=("x",), steps=(step,)))
    assert row_of("alpaca", dialog) == {"instruction": "Hi?", "input": "Hold it.", "output": "Hello."}
    several = row_of("alpaca", make_dialog("Hi?", "Hello.", "More?", "Yes."))
    assert isinstance(several, Skip)
    assert "several turns" in several.reason


@pytest.mark.parametrize("name", ["alpaca", "llama_factory"])
def test_formats_without_a_place_for_functions_leave_such_dialogs_out(name: str) -> None:
    row = row_of(name, CALLING)
    assert isinstance(row, Skip)
    assert "functions" in row.reason
