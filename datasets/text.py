"""Texts from anywhere, made fit to be stored and written."""

from __future__ import annotations

import re
from typing import Any

_UNFIT = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """Without NUL, which PostgreSQL refuses, and with U+FFFD for each lone surrogate, which UTF-8 cannot hold."""
    if not _UNFIT.search(text):
        return text
    return text.replace("\x00", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clean_json(value: Any) -> Any:
    """The same for every text, keys too, in what `json.loads` or `model_dump` gave."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(key): clean_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean_json(item) for item in value]
    return value
