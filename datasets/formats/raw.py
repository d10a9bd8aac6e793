"""The rows of the AfterImage library, `{"conversations": [{"role": …, "content": …, "reasoning_content": …}], …}`.

A structured row that was imported is written as one, `{"instruction": …, "context": …, "persona": …, "output": …}`.

A dialog that was imported keeps in `extra` what its row said that has no place here, as patches on what is written from
the dialog itself: `row`, `messages` by index, and `judgement`; `shape` says which of the two it was. So its row comes out as it came in, but for what has been
edited since.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from datasets.schema import Dialog, Message, Source, ToolSpec

from .contract import Judged, Options, Row, Skip
from .messages import called
from .patches import patched
from .rows import SEPARATOR, library_row

EVALUATOR = "afterimage"
"""The name of the judge that spoke before a row was imported."""
SUMMARY = "_analytics"
"""What the last line of the library's log of preference pairs has instead of a pair."""
STRUCTURED = "rows"
"""What `extra` calls the shape of structured rows."""


def row(dialog: Dialog, options: Options) -> Row | Skip:
    if dialog.extra.get("shape") == STRUCTURED and dialog.output is not None:
        return patched(library_row(dialog, options), dialog.extra.get("row"))
    changes = dialog.extra.get("messages", {})
    said = [_said(message, changes.get(str(n)), options) for n, message in enumerate(dialog.messages)]
    prompt = {"system_prompt": dialog.system_prompt} if options.system_prompt and dialog.system_prompt else {}
    return prompt | patched({"conversations": said, **_beside(dialog)}, dialog.extra.get("row"))


def cast(row: Row, name: str, depth: int) -> Row:
    """A row with the persona of the project that asked in it, by name and by how far from its document it was grown."""
    told = {"persona_name": name, "persona_generation_depth": depth}
    return row | {"metadata": row["metadata"] | told} if isinstance(row.get("metadata"), dict) else row


def judgement(dialog: Dialog, judged: Judged) -> Row:
    told = evaluation(judged)
    return patched(told, dialog.extra.get("judgement")) if judged.evaluator == EVALUATOR else told


def evaluation(judged: Judged) -> Row:
    metrics: Row = {one.criterion: {"feedback": one.feedback, "score": one.value} for one in judged.scores}
    grade = {"overall_grade": judged.grade} if judged.grade else {}
    return {"evaluation": metrics | grade, "final_score": judged.overall}


def entry(message: Message) -> Row:
    shape: Row = {
        "role": message.role,
        "content": message.content,
        "reasoning_content": message.reasoning or None,
    }
    if message.tool_calls:
        shape["tool_calls"] = [{"id": call.id, **called(call)} for call in message.tool_calls]
    return shape | ({"tool_call_id": message.tool_call_id} if message.tool_call_id else {})


def _said(message: Message, change: dict[str, Any] | None, options: Options) -> Row:
    # What was said may have been edited since; only an empty text can stand for something else.
    rebuilt = patched(entry(message), change, keep={"content"} if message.content else ())
    if options.reasoning or "reasoning_content" not in rebuilt:
        return rebuilt
    return rebuilt | {"reasoning_content": None}


def instruction_context(dialog: Dialog) -> str | None:
    """The passages that the first question was written from, as one text."""
    return _joined(_contexts(dialog)[0])


def _beside(dialog: Dialog) -> Row:
    """Contexts are the passages that stood before the writers of the first question and of the answers."""
    asked, given = _contexts(dialog)
    found = [source for source in given if source.score is not None]
    row: Row = {
        "metadata": _metadata(asked) | ({"retrieval": {"hits": [_hit(one) for one in found]}} if found else {}),
        "instruction_context": _joined(asked),
        "response_context": _joined(given),
        "persona": dialog.persona or None,
    }
    if dialog.tools:
        row["tools"] = [described(tool) for tool in dialog.tools]
    return row | ({} if dialog.output is None else {"output": dialog.output})


def described(tool: ToolSpec) -> Row:
    return {"type": "function", "function": tool.model_dump(mode="json")}


def _contexts(dialog: Dialog) -> tuple[list[Source], list[Source]]:
    """What the first question was written from, and what all answers were given; each passage once."""
    steps = [step for step in dialog.trace.steps if step.message is not None and step.message < len(dialog.messages)]
    answers = [step for step in steps if dialog.messages[step.message or 0].role == "assistant"]
    given = _once(source for step in answers for source in step.sources)
    asked = _once(source for step in steps if step.operation == "instruction" for source in step.sources)
    return asked or [source for source in given if source.score is None], given


def _once(sources: Iterable[Source]) -> list[Source]:
    return list({(source.passage, source.text): source for source in sources}.values())


def _joined(sources: list[Source]) -> str | None:
    return SEPARATOR.join(source.text for source in sources) if sources else None


def _metadata(asked: list[Source]) -> Row:
    ids = [str(source.passage) for source in asked if source.passage]
    return {
        "context_id": ids[0] if ids else None,
        "context_ids": ids,
        "persona_name": None,
        "persona_generation_depth": None,
    }


def _hit(source: Source) -> Row:
    known: Row = {"id": str(source.passage)} if source.passage else {}
    return known | {"score": source.score} | source.metadata
