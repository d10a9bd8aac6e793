"""One JSON value a line, that every reader of lines and every reader of UTF-8 takes."""

from __future__ import annotations

import json
from typing import Any

from datasets.text import clean_json

# JSON allows these in a text, but readers that split lines the way of Unicode (Python's `str.splitlines` is one) would
# break the row there. All other line breaks are control characters, which JSON escapes anyway.
_LINE_BREAKS = str.maketrans({"\u0085": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def encode(row: Any) -> bytes:
    """A line with its end. Raises ValueError for a number that JSON does not have."""
    text = json.dumps(clean_json(row), ensure_ascii=False, allow_nan=False, separators=(", ", ": "))
    return text.translate(_LINE_BREAKS).encode() + b"\n"
