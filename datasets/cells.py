"""JSON values as pages show them: in a cell of a table, or in full."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

LONGEST = 300
"""Characters of a value that a cell shows."""


@dataclass(frozen=True)
class Cell:
    """A value on one line. What is `nothing` was not said, or is null; `text` is cut where the value is `long`."""

    kind: Literal["text", "number", "json", "nothing"]
    text: str = ""
    long: bool = False


def cell_of(value: Any) -> Cell:
    if value is None:
        return Cell("nothing")
    if isinstance(value, bool):
        return Cell("text", "yes" if value else "no")
    if isinstance(value, str):
        return _cut("text", " ".join(value.split()))
    return _cut("number" if isinstance(value, int | float) else "json", compact(value))


def _cut(kind: Literal["text", "number", "json"], text: str) -> Cell:
    return Cell(kind, text) if len(text) <= LONGEST else Cell(kind, text[: LONGEST - 1] + "…", long=True)


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
