"""What a format is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from datasets.schema import Dialog, Score


@dataclass(frozen=True, slots=True)
class Options:
    """What the person who exports may choose."""

    system_prompt: bool = False
    metadata: bool = False
    reasoning: bool = False
    """What assistants thought before they answered, in formats that can hold it."""
    min_gap: float = 0.1
    """By how much the better of two answers must be scored higher, in formats that compare. Pairs that were imported
    stay pairs, whatever it is."""


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
    """A version of a conversation with its score, from 0 to 1, if it has one, and what is special about it."""

    dialog: Dialog
    score: float | None
    label: str = ""
    choice: Literal["", "chosen", "rejected"] = ""
    """What somebody has chosen, and what they have rejected for it: that is a pair, whatever the scores are."""


PREFERENCE = "preference"
"""The name of the judge of imported pairs: whoever chose between their answers."""
REJECTED = "rejected"
"""The grade of the answer that was not chosen."""

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
