"""`{"instruction": …, "context": […], "persona": …, "output": {…}}`: the rows of structured generation."""

from __future__ import annotations

import json
from typing import Any

from datasets.schema import Dialog, Message

from .contract import Options, Row, Skip

SEPARATOR = "\n" + "-" * 80 + "\n\n"
"""Between contexts that are one text."""


def row(dialog: Dialog, options: Options) -> Row | Skip:
    if dialog.output is None:
        return Skip("It is a conversation, and holds no row of a schema.")
    instruction = next((message.content for message in dialog.messages if message.role == "user"), "")
    if not instruction.strip():
        return Skip("It has no instruction.")
    answer = next((message for message in reversed(dialog.messages) if message.role == "assistant"), None)
    row: Row = {"system": dialog.system_prompt} if options.system_prompt and dialog.system_prompt else {}
    row |= {"instruction": instruction, "context": _context(dialog), "persona": dialog.persona}
    if options.reasoning and answer and answer.reasoning:
        row["reasoning"] = answer.reasoning
    return row | {"output": _ordered(dialog.output, answer)}


def library_row(dialog: Dialog, options: Options) -> Row:
    """The same with the contexts as one text or null, as the AfterImage library writes it."""
    question, answer = dialog.messages[0], dialog.messages[-1]
    row: Row = {"system": dialog.system_prompt} if options.system_prompt and dialog.system_prompt else {}
    row |= {
        "instruction": question.content,
        "context": SEPARATOR.join(_context(dialog)) or None,
        "persona": dialog.persona or None,
    }
    if options.reasoning and answer.reasoning:
        row["reasoning"] = answer.reasoning
    return row | {"output": _ordered(dialog.output, answer)}


def _context(dialog: Dialog) -> list[str]:
    """The passages that the row was made from, each once."""
    written = (step for step in dialog.trace.steps if step.message is not None)
    return list(dict.fromkeys(source.text for step in written for source in step.sources))


def _ordered(output: Any, answer: Message | None) -> Any:
    """In the order of the text, which the stored value has lost."""
    try:
        said = json.loads(answer.content) if answer else None
    except ValueError:
        return output
    return said if said == output else output
