"""JSON values as pages show them: in a cell of a table, or in full."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

LONGEST = 300
"""Characters of a value that a cell of a table shows."""
WHOLE = 20_000
"""Characters of a value that stands by itself."""


@dataclass(frozen=True)
class Cell:
    """A value in words. What is `nothing` was not said, or is null."""

    kind: Literal["text", "number", "json", "nothing"]
    text: str = ""


def cell_of(value: Any, longest: int = LONGEST) -> Cell:
    """Cut after `longest` characters."""
    if value is None:
        return Cell("nothing")
    if isinstance(value, bool):
        return Cell("text", "yes" if value else "no")
    if isinstance(value, str):
        return Cell("text", _cut(value, longest))
    return Cell("number" if isinstance(value, int | float) else "json", _cut(compact(value), longest))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def parsed(text: str) -> Any:
    """The JSON that a text is; None for one that is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
