"""Rows that somebody brings along, read into dialogs. What a row says that has no place in a dialog is kept in `extra`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from datasets.schema import Dialog, Message, Score, ToolSpec, Trace

from . import incoming_pairs, raw
from .contract import Judged, Options
from .entries import Wrong, left_over, read_tools
from .incoming_parts import (
    Incoming,
    is_number,
    messages_of,
    share,
    source_of,
    step_of,
    text_in,
    title_of,
    trace_of,
    without,
)
from .lines import Line, lines
from .patches import patch

GLANCED = 100
"""Lines that a file is judged by before it is read."""
_GLANCED_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Shape:
    """A way of writing conversations. `read` raises Wrong."""

    label: str
    read: Callable[[dict[str, Any]], Incoming]


@dataclass(frozen=True, slots=True)
class Glance:
    """What the first lines of a file show: the shape of its rows, the first of them, and lines that are no such rows."""

    shape: str
    rows: list[tuple[int, Incoming]]
    problems: list[tuple[int, str]]


class Unusable(ValueError):
    """A file of which nothing can be imported, and why, in a sentence."""


def shape_of(row: dict[str, Any]) -> str | None:
    """The shape of a row, told by its keys, not by what its writer calls it."""
    if incoming_pairs.is_pair(row):
        return incoming_pairs.PAIRS
    for key in ("conversations", "messages"):
        entries = row.get(key)
        if isinstance(entries, list) and entries and isinstance(entries[0], dict):
            if "from" in entries[0]:
                return "sharegpt"
            return {"conversations": "afterimage", "messages": "messages"}[key]
    structured = isinstance(row.get("instruction"), str) and isinstance(row.get("output"), dict | list)
    return raw.STRUCTURED if structured else None


def read_row(row: dict[str, Any], shape: str) -> Incoming:
    """Raises Wrong when it is no row of that shape, or cannot be a conversation."""
    found = shape_of(row)
    if list(row) == [raw.SUMMARY]:
        raise Wrong("It sums up the pairs before it and is none itself: the AfterImage library ends its logs so.")
    if found is None:
        raise Wrong(
            "It has no messages, which are looked for under “conversations” and “messages”, and is neither a preference "
            "pair, which has “chosen” and “rejected”, nor a structured row, which has an “instruction” and an “output”."
        )
    if found != shape:
        raise Wrong(f"It is written as {SHAPES[found].label}, but the file as {SHAPES[shape].label}: import it apart.")
    return SHAPES[shape].read(row)


def glance(file: BinaryIO) -> Glance:
    """Raises Unusable when no line among the first ones is a conversation."""
    found = _first(file)
    shape = next((kind for line in found if line.row and (kind := shape_of(line.row))), None)
    if shape is None:
        raise Unusable(_why_nothing(found))
    rows: list[tuple[int, Incoming]] = []
    problems = [(line.number, line.problem) for line in found if line.problem]
    for line in found:
        if line.row is not None:
            try:
                rows.append((line.number, read_row(line.row, shape)))
            except Wrong as error:
                problems.append((line.number, str(error)))
    if not rows:
        raise Unusable(f"None of the first {len(found)} lines can be read. Line {problems[0][0]}: {problems[0][1]}")
    return Glance(shape, rows, sorted(problems))


def _first(file: BinaryIO) -> list[Line]:
    start = file.read(16)
    file.seek(0)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unusable("The file is UTF-16: save it as UTF-8.")
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        raise Unusable("The file is one JSON list: write each of its objects on a line of its own.")
    found: list[Line] = []
    for line in lines(file):
        found.append(line)
        if len(found) >= GLANCED or line.end > _GLANCED_BYTES:
            break
    return found


def _why_nothing(found: list[Line]) -> str:
    wrong = next((line for line in found if line.problem), None)
    if wrong:
        return f"No conversation is found in the file. Line {wrong.number}: {wrong.problem}"
    if not any(line.row for line in found):
        return "The file is empty: choose one with a conversation on each line."
    return (
        "No conversation is found in the file: its rows need “conversations” or “messages”, a list of what was said, or "
        "“chosen” and “rejected”, or else an “instruction” and an “output”, which is an object. "
        f"The first row has: {', '.join(next(list(line.row) for line in found if line.row)[:10]) or 'nothing'}."
    )


# -- rows of AfterImage -----------------------------------------------------------------------------------------------------


def _read_afterimage(row: dict[str, Any]) -> Incoming:
    said = row["conversations"]
    messages = messages_of(said, "role", "content")
    judged = _judged(row)
    tools, output, prompt = read_tools(row.get("tools")), row.get("output"), row.get("system_prompt")
    dialog = Dialog(
        messages=messages,
        system_prompt=prompt if isinstance(prompt, str) else "",
        persona=row["persona"] if isinstance(row.get("persona"), str) else "",
        tools=tools or (),
        output=output,
        trace=trace_of(messages, row),
    )
    return Incoming(dialog.model_copy(update={"extra": _lost(row, dialog, judged)}), judged)


def _lost(row: dict[str, Any], dialog: Dialog, judged: Judged | None) -> dict[str, Any]:
    """Patches on what the format `raw` writes of `dialog`, by which it writes `row`."""
    written: Any = raw.row(dialog, Options(system_prompt=True, reasoning=True))
    of_judge = {"evaluation", "final_score"} if judged else set()
    found = {
        "row": patch(without(row, {"conversations", *of_judge}), without(written, {"conversations"})),
        "messages": {
            str(n): change
            for n, (entry, message) in enumerate(zip(row["conversations"], dialog.messages, strict=True))
            if (change := patch(entry, raw.entry(message)))
        },
        "judgement": patch({key: row[key] for key in of_judge if key in row}, raw.evaluation(judged)) if judged else {},
    }
    return {key: value for key, value in found.items() if value}


def _judged(row: dict[str, Any]) -> Judged | None:
    told, overall = row.get("evaluation"), row.get("final_score")
    if not (isinstance(told, dict) and told) and not is_number(overall):
        return None
    metrics = told if isinstance(told, dict) else {}
    scores = [Score(criterion=name, value=share(one.get("score")), feedback=text_in(one.get("feedback")))
              for name, one in metrics.items() if isinstance(one, dict)]  # fmt: skip
    grade = metrics.get("overall_grade")
    return Judged(raw.EVALUATOR, share(overall), grade[:20] if isinstance(grade, str) else "", tuple(scores))


# -- structured rows ---------------------------------------------------------------------------------------------------


def _read_structured(row: dict[str, Any]) -> Incoming:
    if not row["instruction"].strip():
        raise Wrong("Its instruction is empty: write one, or leave the line out.")
    reasoning, prompt, persona = (text_in(row.get(key)) for key in ("reasoning", "system", "persona"))
    answer = json.dumps(row["output"], ensure_ascii=False, indent=2)
    dialog = Dialog(
        messages=(
            Message(role="user", content=row["instruction"]),
            Message(role="assistant", content=answer, reasoning=reasoning),
        ),
        system_prompt=prompt,
        persona=persona,
        output=row["output"],
        trace=_trace_of_row(row),
    )
    lost = patch(row, raw.library_row(dialog, Options(system_prompt=True, reasoning=True)))
    return Incoming(dialog.model_copy(update={"extra": {"shape": raw.STRUCTURED} | ({"row": lost} if lost else {})}))


def _trace_of_row(row: dict[str, Any]) -> Trace:
    """One text of contexts, or a list of them, stood before whoever wrote the instruction and before the answer."""
    context, title = row.get("context"), title_of(row)
    texts = [one for one in (context if isinstance(context, list) else [context]) if isinstance(one, str) and one]
    if not texts:
        return Trace()
    sources = tuple(source_of(text, title) for text in texts)
    return Trace(texts=("",), steps=(step_of(0, sources, "instruction"), step_of(1, sources, "row")))


# -- other rows ---------------------------------------------------------------------------------------------------------


def _read_messages(row: dict[str, Any]) -> Incoming:
    return Incoming(_plain(row, "messages", "role", "content"))


def _read_sharegpt(row: dict[str, Any]) -> Incoming:
    key = "conversations" if isinstance(row.get("conversations"), list) else "messages"
    return Incoming(_plain(row, key, "from", "value"))


def _plain(row: dict[str, Any], key: str, role_key: str, content_key: str) -> Dialog:
    """A system message in front, or a column of that name, is the system prompt."""
    messages, entries = messages_of(row[key], role_key, content_key), row[key]
    understood, prompt = {key}, ""
    if messages[0].role == "system":
        prompt, messages, entries = messages[0].content, messages[1:], entries[1:]
    elif isinstance(row.get("system"), str):
        prompt = row["system"]
        understood.add("system")
    tools: tuple[ToolSpec, ...] | None = read_tools(row["tools"]) if "tools" in row else None
    if tools is not None:
        understood.add("tools")
    beside = {str(n): {"set": left} for n, (entry, message) in enumerate(zip(entries, messages, strict=True))
              if (left := left_over(entry, message))}  # fmt: skip
    row_left = without(row, understood)
    extra = ({"row": {"set": row_left}} if row_left else {}) | ({"messages": beside} if beside else {})
    return Dialog(messages=messages, system_prompt=prompt, tools=tools or (), extra=extra)


SHAPES = {
    "afterimage": Shape("AfterImage rows", _read_afterimage),
    "messages": Shape("messages", _read_messages),
    "sharegpt": Shape("ShareGPT", _read_sharegpt),
    raw.STRUCTURED: Shape("structured rows", _read_structured),
    incoming_pairs.PAIRS: Shape("preference pairs", incoming_pairs.read_pair),
}
