"""Rows that somebody brings along: told apart by their keys, read, and written again as they came."""

from __future__ import annotations

import io
import json
import random
from typing import Any

import pytest

from datasets.formats import FORMATS, Options, raw
from datasets.formats.entries import Wrong
from datasets.formats.incoming import Incoming, Unusable, glance, read_row, shape_of
from datasets.formats.lines import lines
from datasets.schema import ToolCall

ALL = Options(system_prompt=True, reasoning=True)


def written_again(incoming: Incoming) -> dict[str, Any]:
    row = raw.row(incoming.dialog, ALL)
    assert isinstance(row, dict)
    return row | (raw.judgement(incoming.dialog, incoming.judged) if incoming.judged else {})


def said(row: dict[str, Any], shape: str) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in read_row(row, shape).dialog.messages]


FULL: dict[str, Any] = {
    "conversations": [
        {"role": "user", "content": "How do I reset it?", "reasoning_content": None},
        {"role": "assistant", "content": "Hold the button.", "reasoning_content": "They want to reset it."},
    ],
    "metadata": {
        "context_id": "doc-1",
        "context_ids": ["doc-1", "doc-2"],
        "persona_name": "A nurse",
        "persona_generation_depth": 1,
        "retrieval": {"hits": [{"id": "7", "score": 0.61}], "collection_name": "law"},
        "skill": {"context_id": "ab", "version_id": "v2", "name": "Careful", "iteration": 2},
    },
    "instruction_context": "Hold the round button for ten seconds.",
    "response_context": "Hold the round button for ten seconds. Then wait.",
    "persona": "A nurse",
    "evaluation": {
        "coherence": {"feedback": "Fits.", "score": 0.91},
        "factuality": {"feedback": "", "score": 1},
        "overall_grade": "good",
    },
    "final_score": 0.86,
}


def test_a_row_of_afterimage_becomes_a_dialog_with_contexts_persona_and_judgement() -> None:
    incoming = read_row(FULL, "afterimage")
    dialog, judged = incoming.dialog, incoming.judged
    assert dialog.messages[1].reasoning == "They want to reset it."
    assert dialog.persona == "A nurse"
    assert [(step.operation, step.message, step.sources[0].text) for step in dialog.trace.steps] == [
        ("instruction", 0, FULL["instruction_context"]),
        ("answer", 1, FULL["response_context"]),
    ]
    assert judged is not None
    assert (judged.evaluator, judged.overall, judged.grade) == ("afterimage", 0.86, "good")
    assert [(one.criterion, one.value, one.feedback) for one in judged.scores] == [
        ("coherence", 0.91, "Fits."),
        ("factuality", 1.0, ""),
    ]
    assert dialog.extra == {"row": {"set": {"metadata": FULL["metadata"]}}}


def made_row(chance: random.Random) -> dict[str, Any]:
    """A row with anything that may be there left out, empty, odd or besides."""

    def some(*values: Any) -> Any:
        return chance.choice(values)

    def entry(n: int) -> dict[str, Any]:
        shape = {"role": ("user", "assistant")[n % 2], "content": some("", "text", "ß\u2028“", "a\nb")}
        shape |= some({}, {"reasoning_content": None}, {"reasoning_content": ""}, {"reasoning_content": "hm"})
        return shape | some({}, {}, {"weight": 0}, {"reasoning": "other"}, {"role": "human"}, {"tool_calls": []})

    odd = (None, "", "text", 0, 1.5, True, [], ["a"], {}, {"x": [None, {"y": -2}]})
    row: dict[str, Any] = {"conversations": [entry(n) for n in range(chance.randint(1, 5))]}
    keys = ("metadata", "instruction_context", "response_context", "persona", "system_prompt", "tools", "output", "id")
    row |= {key: some(*odd) for key in keys if chance.random() < 0.6}
    if chance.random() < 0.6:
        metric = {"feedback": some("Fine.", "", None), "score": some(0, 0.5, 1, -0.2, 1.7, None, True)}
        row["evaluation"] = some(
            None, {}, {"coherence": metric, "overall_grade": some("good", None, "x" * 30)}, metric, []
        )
    if chance.random() < 0.6:
        row["final_score"] = some(0.0, 0.5, 1, 3, None, "high")
    return row


@pytest.mark.parametrize("seed", range(10))
def test_every_row_is_written_again_key_by_key_as_it_came(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(300):
        row = made_row(chance)
        before = json.loads(json.dumps(row))
        again = written_again(read_row(row, "afterimage"))
        assert again == before
        assert again.keys() == before.keys()


def test_the_plain_rows_of_the_library_leave_nothing_over_but_their_metadata() -> None:
    plain = {key: value for key, value in FULL.items() if key not in ("evaluation", "final_score")}
    assert read_row(plain, "afterimage").dialog.extra == {"row": {"set": {"metadata": FULL["metadata"]}}}
    assert written_again(read_row(FULL, "afterimage")) == FULL


def test_an_answer_that_was_edited_is_written_as_edited_and_the_rest_as_it_came() -> None:
    dialog = read_row(FULL, "afterimage").dialog
    edited = dialog.messages[1].model_copy(update={"content": "Hold it longer."})
    row: Any = raw.row(dialog.model_copy(update={"messages": (dialog.messages[0], edited)}), ALL)
    assert row["conversations"][1]["content"] == "Hold it longer."
    assert row["metadata"] == FULL["metadata"]


def test_our_own_rows_with_tools_come_back_through_an_import() -> None:
    row = {
        "conversations": [
            {"role": "user", "content": "Warm?", "reasoning_content": None},
            {"role": "assistant", "content": "", "reasoning_content": None, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": {"at": "here"}}}]},
            {"role": "tool", "content": "21", "reasoning_content": None, "tool_call_id": "c1"},
            {"role": "assistant", "content": "21 degrees.", "reasoning_content": None},
        ],
        "tools": [{"type": "function", "function": {"name": "weather", "description": "", "parameters": {"type": "object"}}}],
    }  # fmt: skip
    incoming = read_row(row, "afterimage")
    assert incoming.dialog.messages[1].tool_calls == (ToolCall(id="c1", name="weather", arguments={"at": "here"}),)
    assert incoming.dialog.tools[0].name == "weather"
    assert written_again(incoming) == row


# -- structured rows ----------------------------------------------------------------------------------------------------

STRUCTURED: dict[str, Any] = {
    "instruction": "Describe the reset.",
    "context": "Hold the round button for ten seconds.",
    "persona": "A nurse",
    "output": {"title": "Reset", "steps": ["Hold", "Wait"], "minutes": 0.5, "a": None},
    "metadata": {
        "context_id": "doc-1",
        "context_ids": ["doc-1"],
        "persona_name": "A nurse",
        "persona_generation_depth": 1,
    },
}


def test_a_structured_row_becomes_a_dialog_of_one_instruction_and_its_output() -> None:
    dialog = read_row(STRUCTURED, "rows").dialog
    assert [message.role for message in dialog.messages] == ["user", "assistant"]
    assert dialog.messages[0].content == "Describe the reset."
    assert json.loads(dialog.messages[1].content) == dialog.output == STRUCTURED["output"]
    assert dialog.persona == "A nurse"
    assert [(step.operation, step.message, step.sources[0].text) for step in dialog.trace.steps] == [
        ("instruction", 0, STRUCTURED["context"]),
        ("row", 1, STRUCTURED["context"]),
    ]
    assert dialog.trace.steps[0].sources[0].title == "Imported context doc-1"
    assert dialog.extra == {"shape": "rows", "row": {"set": {"metadata": STRUCTURED["metadata"]}}}


def made_structured(chance: random.Random) -> dict[str, Any]:
    odd = (None, "", "text", 0, True, [], ["a", "b"], [1], {}, {"x": [None, {"y": -2}]})
    row = {
        "instruction": chance.choice(("Why?", " ß\u2028“ ")),
        "output": chance.choice(({}, [], [1], {"b": 1, "a": []})),
    }
    keys = ("context", "persona", "metadata", "system", "reasoning", "input", "id")
    return row | {key: chance.choice(odd) for key in keys if chance.random() < 0.5}


def test_every_structured_row_is_written_again_key_by_key_as_it_came() -> None:
    chance = random.Random(3)
    assert written_again(read_row(STRUCTURED, "rows")) == STRUCTURED
    for _ in range(500):
        row = made_structured(chance)
        before = json.loads(json.dumps(row))
        again = written_again(read_row(row, "rows"))
        assert again == before
        assert again.keys() == before.keys()
        assert list(again["output"]) == list(before["output"])


def test_our_own_structured_rows_come_back_through_an_import() -> None:
    incoming = read_row({**STRUCTURED, "context": ["One.", "Two."], "system": "Be brief.", "reasoning": "Hm."}, "rows")
    written = FORMATS["rows"].row(incoming.dialog, ALL)
    assert isinstance(written, dict)
    assert (written["context"], written["system"], written["reasoning"]) == (["One.", "Two."], "Be brief.", "Hm.")
    again = FORMATS["rows"].row(read_row(written, "rows").dialog, ALL)
    assert again == written


@pytest.mark.parametrize(
    "row", [{"instruction": "Why?", "output": "Because."}, {"instruction": ["Why?"], "output": {}}, {"output": {}}]
)
def test_what_only_looks_like_a_structured_row_is_none(row: dict[str, Any]) -> None:
    assert shape_of(row) is None
    with pytest.raises(Wrong, match="nor a structured row"):
        read_row(row, "rows")


def test_an_empty_instruction_is_wrong() -> None:
    with pytest.raises(Wrong, match="instruction is empty"):
        read_row({"instruction": " ", "output": {}}, "rows")


# -- other shapes -------------------------------------------------------------------------------------------------------


def test_messages_rows_give_system_prompt_tools_and_what_is_left_over() -> None:
    row = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Warm?"}], "name": "ann"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c7", "type": "function", "function": {"name": "weather", "arguments": "{\"at\": \"here\"}"}}]},
            {"role": "tool", "tool_call_id": "c7", "content": "21"},
            {"role": "assistant", "content": "21.", "reasoning": "Easy.", "weight": 1},
        ],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}],
        "source": "us",
    }  # fmt: skip
    dialog = read_row(row, "messages").dialog
    assert dialog.system_prompt == "Be brief."
    assert [message.role for message in dialog.messages] == ["user", "assistant", "tool", "assistant"]
    assert dialog.messages[0].content == "Warm?"
    assert dialog.messages[1].tool_calls[0].arguments == {"at": "here"}
    assert dialog.messages[2].tool_call_id == "c7"
    assert dialog.messages[3].reasoning == "Easy."
    assert [tool.name for tool in dialog.tools] == ["weather"]
    assert dialog.extra == {
        "row": {"set": {"source": "us"}},
        "messages": {"0": {"set": {"name": "ann"}}, "3": {"set": {"weight": 1}}},
    }


def test_sharegpt_rows_give_speakers_calls_and_the_system_column() -> None:
    row = {
        "conversations": [
            {"from": "human", "value": "Warm?"},
            {"from": "function_call", "value": '{"name": "weather", "arguments": {"at": "here"}}'},
            {"from": "observation", "value": "21"},
            {"from": "gpt", "value": "21."},
        ],
        "system": "Be brief.",
        "tools": '[{"name": "weather", "description": "How warm it is", "parameters": {}}]',
    }
    dialog = read_row(row, "sharegpt").dialog
    assert dialog.system_prompt == "Be brief."
    assert [message.role for message in dialog.messages] == ["user", "assistant", "tool", "assistant"]
    [call] = dialog.messages[1].tool_calls
    assert (call.name, call.arguments, dialog.messages[2].tool_call_id) == ("weather", {"at": "here"}, call.id)
    assert dialog.tools[0].description == "How warm it is"
    assert dialog.extra == {}


@pytest.mark.parametrize(
    ("row", "shape"),
    [
        ({"conversations": [{"role": "user", "content": "Hi"}]}, "afterimage"),
        ({"conversations": [{"from": "user", "value": "Hi"}]}, "sharegpt"),
        ({"messages": [{"from": "human", "value": "Hi"}]}, "sharegpt"),
        ({"messages": [{"role": "user", "content": "Hi"}]}, "messages"),
        ({"messages": []}, None),
        ({"conversations": "Hi"}, None),
        ({"instruction": "Hi", "output": "Hello"}, None),
    ],
)
def test_shapes_are_told_by_their_keys(row: dict[str, Any], shape: str | None) -> None:
    assert shape_of(row) == shape


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        (
            [{"role": "user", "content": "Hi"}, {"role": "narrator", "content": "x"}],
            'Message 2 has the role "narrator"',
        ),
        ([{"role": "user", "content": 7}], "Message 1 has no text"),
        ([{"role": "user", "content": "Hi"}, 7], "Message 2 is no object"),
        ([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}], "not JSON"),
        ([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": [1]}}]}], "no JSON object"),
        ([{"role": "assistant", "tool_calls": [{"function": {}}]}], "without a name"),
        ([{"role": "system", "content": "Be brief."}], "no messages but a system prompt"),
        ([{"role": "user", "content": "Hi"}] * 10_001, "more than 10,000 messages"),
    ],
)
def test_a_row_that_is_no_conversation_says_why(entries: list[Any], sentence: str) -> None:
    for shape, key in (("messages", "messages"), ("afterimage", "conversations")):
        with pytest.raises(Wrong, match=sentence):
            read_row({key: entries}, shape)


def test_a_row_of_another_shape_than_its_file_is_refused_by_name() -> None:
    with pytest.raises(Wrong, match="It is written as messages, but the file as ShareGPT"):
        read_row({"messages": [{"role": "user", "content": "Hi"}]}, "sharegpt")


# -- lines --------------------------------------------------------------------------------------------------------------

GOOD = json.dumps({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}).encode()


def problems(content: bytes, limit: int = 2**20) -> dict[int, str]:
    return {line.number: line.problem for line in lines(io.BytesIO(content), limit=limit) if line.problem}


def test_each_bad_line_has_its_number_and_a_sentence_and_the_rest_is_read() -> None:
    content = (
        b"\xef\xbb\xbf" + GOOD + b"\n\n{oops\n\xff\xfe{}\n7\n" + GOOD + b'\r\n{"a": NaN}\n{"a": 1e999}\n' + GOOD[:30]
    )
    assert [line.number for line in lines(io.BytesIO(content)) if line.row] == [1, 6]
    found = problems(content)
    assert list(found) == [3, 4, 5, 7, 8, 9]
    words = ("It is not JSON", "not UTF-8", "no object", "NaN", "too large", "breaks off in the middle")
    assert all(word in sentence for word, sentence in zip(words, found.values(), strict=True))


def test_huge_lines_deep_ones_and_endless_numbers_are_left_out() -> None:
    content = (
        b'{"a": "' + b"x" * 3_000_000 + b'"}\n' + b'{"a":' * 100_000 + b"\n" + b'{"a": ' + b"9" * 9_000 + b"}\n" + GOOD
    )
    found = problems(content)
    assert "longer than 1 MB" in found[1]
    assert "nested too deeply" in found[2]
    assert "too long" in found[3]
    assert [line.number for line in lines(io.BytesIO(content), limit=2**20) if line.row] == [4]


def test_reading_goes_on_where_a_line_ended() -> None:
    file = io.BytesIO(GOOD + b"\n" + GOOD + b"\n")
    first = next(lines(file))
    file.seek(first.end)
    assert [(line.number, line.end) for line in lines(file, number=first.number)] == [(2, 2 * len(GOOD) + 2)]


def test_nul_and_halves_of_characters_are_made_fit_to_be_stored() -> None:
    [line] = lines(io.BytesIO(b'{"a": "x\\u0000y\\ud800z\0"}'))
    assert line.row == {"a": "xy\ufffdz"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty"),
        (b"\n \n\0\n", "The file is empty"),
        (b"[\n{}]", "one JSON list"),
        ("{}".encode("utf-16"), "UTF-16"),
        (b"\x89PNG\r\n\x1a\n\0\0", "Line 1: It is not"),
        (b'{"instruction": "x", "output": "y"}\n', "The first row has: instruction, output"),
        (b'{\n"messages": []\n}', "Line 1: It is not JSON"),
        (b'{"messages": [{"role": "x", "content": ""}]}', "None of the first 1 lines can be read. Line 1: Message 1"),
    ],
)
def test_a_file_without_conversations_is_refused_in_a_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(Unusable, match=sentence):
        glance(io.BytesIO(content))


def test_a_glance_shows_the_first_rows_and_what_will_be_left_out() -> None:
    seen = glance(io.BytesIO(b"{oops\n" + GOOD + b"\n" + b'{"conversations": [{"from": "human", "value": "Hi"}]}\n'))
    assert seen.shape == "messages"
    assert [number for number, _ in seen.rows] == [2]
    assert [number for number, _ in seen.problems] == [1, 3]
