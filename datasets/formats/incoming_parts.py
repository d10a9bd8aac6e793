"""What the readers of all shapes share: a row that was understood, and pieces of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datasets.schema import Dialog, Message, Operation, Source, Step, Trace

from .contract import Judged
from .entries import Wrong, read_messages

MOST_MESSAGES = 10_000
_REPEATED = 2**20
"""Characters of context that one row may repeat before each of its answers."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """`label` says how it differs from the `others`: answers to the same question that were not chosen."""

    dialog: Dialog
    judged: Judged | None = None
    label: str = ""
    others: tuple[Incoming, ...] = ()


def without(row: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in keys}


def trace_of(messages: tuple[Message, ...], row: dict[str, Any]) -> Trace:
    """Which texts stood before whoever wrote what; of the calls themselves nothing is known."""
    asked, given, title = row.get("instruction_context"), row.get("response_context"), title_of(row)
    steps = []
    if isinstance(asked, str) and asked and messages[0].role == "user":
        steps.append(step_of(0, (source_of(asked, title),), "instruction"))
    if isinstance(given, str) and given:
        answers = [n for n, message in enumerate(messages) if message.role == "assistant"]
        repeated = answers if len(given) * len(answers) <= _REPEATED else answers[:1]
        steps += [step_of(n, (source_of(given, title),), "answer") for n in repeated]
    return Trace(texts=("",) if steps else (), steps=tuple(steps))


def source_of(text: str, title: str) -> Source:
    return Source(passage=0, document=0, title=title, text=text, start=0, end=len(text))


def title_of(row: dict[str, Any]) -> str:
    metadata = row.get("metadata")
    name = metadata.get("context_id") if isinstance(metadata, dict) else None
    return f"Imported context {name}"[:300] if isinstance(name, str) and name else "Imported context"


def step_of(message: int, sources: tuple[Source, ...], operation: Operation) -> Step:
    return Step(operation=operation, model="", request=(), reply=0, message=message, sources=sources)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def share(value: Any) -> float | None:
    return float(value) if is_number(value) and 0 <= value <= 1 else None


def text_in(value: Any) -> str:
    return value if isinstance(value, str) else ""


def messages_of(entries: list[Any], role_key: str, content_key: str) -> tuple[Message, ...]:
    if len(entries) > MOST_MESSAGES:
        raise Wrong(f"It has more than {MOST_MESSAGES:,} messages: split it.")
    messages = read_messages(entries, role_key=role_key, content_key=content_key)
    if all(message.role == "system" for message in messages):
        raise Wrong("It has no messages but a system prompt.")
    return tuple(messages)
