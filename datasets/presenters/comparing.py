"""Two versions of a conversation side by side, message by message."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from datasets.schema import Dialog, Message


@dataclass(frozen=True, slots=True)
class Compared:
    """What stands at one place in both. `turn` counts the user's messages from 1."""

    role: str
    turn: int
    old: str
    new: str

    @property
    def same(self) -> bool:
        return self.old == self.new


def compared(old: Dialog, new: Dialog) -> Iterator[Compared]:
    """In the order in which they were said. Where the speakers differ, one is gone and another one has come."""
    turn = 0
    for before, after in zip_longest(old.messages, new.messages):
        turn += any(message is not None and message.role == "user" for message in (before, after))
        if before and after and before.role != after.role:
            yield Compared(before.role, turn, _text(before), "")
            yield Compared(after.role, turn, "", _text(after))
        else:
            yield Compared((before or after).role, turn, _text(before), _text(after))


def _text(message: Message | None) -> str:
    """What was said, and which functions were asked for."""
    if message is None:
        return ""
    calls = [f"{call.name}({call.arguments})" for call in message.tool_calls]
    return "\n".join([*([message.content] if message.content else []), *calls])
