"""What an assistant is told that fills a form."""

from __future__ import annotations

from collections.abc import Sequence

from datasets.schema import Message
from generation.engine.protocols import Turn

_RULES = """\
Your reply is one JSON object of the form that is asked for, and nothing else.
- Fill it from what the user asks for and from what you know. What may be left out and is not known is null.
- Texts in it are in the language of the user's message, unless the form says otherwise."""


def fill_form(prompt: str, messages: Sequence[Message]) -> list[Turn]:
    """Asks for the row that the last of `messages` calls for."""
    return [Turn("system", f"{prompt}\n\n{_RULES}"), *(Turn(one.role, one.content) for one in messages)]
