"""What a format is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from datasets.schema import Dialog, Score


@dataclass(frozen=True, slots=True)
class Options:
    """What the person who exports may choose."""

    system_prompt: bool = False
    metadata: bool = False
    reasoning: bool = False
    """What assistants thought before they answered, in formats that can hold it."""
    min_gap: float = 0.1
    """By how much the better of two answers must be scored higher, in formats that compare."""


@dataclass(frozen=True, slots=True)
class Skip:
    """A dialog that the format cannot hold, and why, in a sentence."""

    reason: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judge said of a dialog, from 0 to 1; `overall` is None where it gave no such score."""

    evaluator: str
    overall: float | None = None
    grade: str = ""
    scores: tuple[Score, ...] = ()


@dataclass(frozen=True, slots=True)
class Rated:
    """A version of a conversation that a judge has scored, from 0 to 1, and what is special about it."""

    dialog: Dialog
    score: float
    label: str = ""


Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Format:
    label: str
    description: str
    row: Callable[[Dialog, Options], Row | Skip]
    extension: str = "jsonl"
    reads_trace: bool = False
    """Whether a row says what the trace holds; for the others it need not be read."""
    judgement: Callable[[Dialog, Judged], Row] | None = None
    """What a row says besides when a judge has spoken, for formats that say it."""
    cast: Callable[[Row, str, int], Row] | None = None
    """The row with the name and depth of the project's persona that asked in it, for formats that say them."""
    compare: Callable[[Sequence[Rated], Options], Row | Skip] | None = None
    """A row of the judged versions of one conversation, in place of `row`, for formats that compare them."""

    @property
    def compares(self) -> bool:
        return self.compare is not None
