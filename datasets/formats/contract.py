"""What a format is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from datasets.schema import Dialog


@dataclass(frozen=True, slots=True)
class Options:
    """What the person who exports may choose."""

    system_prompt: bool = False
    metadata: bool = False


@dataclass(frozen=True, slots=True)
class Skip:
    """A dialog that the format cannot hold, and why, in a sentence."""

    reason: str


Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Format:
    label: str
    description: str
    row: Callable[[Dialog, Options], Row | Skip]
    extension: str = "jsonl"
