"""YAML that somebody pasted: read safely, or refused in a sentence."""

from __future__ import annotations

from typing import Any

import yaml

LONGEST = 100_000
"""Characters."""
MOST_PARTS = 20_000
"""Values in all: a small text can grow without end by its aliases."""


class NotRead(ValueError):
    """The text cannot be taken; the message says why, and what to do."""


def parse(text: str) -> Any:
    """What the text says. Raises NotRead."""
    if len(text) > LONGEST:
        raise NotRead(f"This is too long: it may have {LONGEST:,} characters.")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        place = getattr(error, "problem_mark", None)
        where = f" (line {place.line + 1})" if place else ""
        raise NotRead(f"This cannot be read as YAML{where}: check its indents and quotation marks.") from error
    if _is_larger(value):
        raise NotRead("It is too large once its aliases are filled in: write it out in fewer words.")
    return value


def _is_larger(value: Any) -> bool:
    waiting, seen = [value], 0
    while waiting and seen <= MOST_PARTS:
        one = waiting.pop()
        seen += 1
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    return seen > MOST_PARTS
