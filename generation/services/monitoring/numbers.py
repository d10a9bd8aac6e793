"""What metrics say of calls, conversations and judgements: numbers that can be added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import reduce
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Measure:
    """What there is to say of many numbers without keeping them."""

    count: int = 0
    total: float = 0
    low: float | None = None
    high: float | None = None

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None

    def __add__(self, other: Measure) -> Measure:
        lows = [low for low in (self.low, other.low) if low is not None]
        highs = [high for high in (self.high, other.high) if high is not None]
        return Measure(
            self.count + other.count, self.total + other.total, min(lows, default=None), max(highs, default=None)
        )


def together(measures: Iterable[Measure]) -> Measure:
    return reduce(Measure.__add__, measures, Measure())


class CallGroup(NamedTuple):
    """The calls of one operation to one model in one step of time. Latency is in seconds; money in USD."""

    at: datetime
    endpoint: int | None
    operation: str
    model: str
    calls: int
    tries: int
    retried: int
    money: Decimal
    prompt: Measure
    completion: Measure
    tokens: Measure
    latency: Measure


@dataclass(slots=True)
class Outcomes:
    """How conversations ended in one step of time. `errors`: attempts that failed, those to be made again included."""

    done: int = 0
    failed: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    turns: Measure = field(default_factory=Measure)

    @property
    def success_rate(self) -> float | None:
        ended = self.done + self.failed
        return self.done / ended if ended else None

    @property
    def mistakes(self) -> int:
        """Attempts that failed."""
        return self.errors.total()

    @property
    def attempts(self) -> int:
        return self.done + self.mistakes

    @property
    def error_rate(self) -> float | None:
        """Among attempts, not among errors: one error in a hundred attempts is 1 %."""
        return self.mistakes / self.attempts if self.attempts else None

    def __add__(self, other: Outcomes) -> Outcomes:
        return Outcomes(
            self.done + other.done, self.failed + other.failed, self.errors + other.errors, self.turns + other.turns
        )


@dataclass(slots=True)
class Judged:
    """Judgements in one step of time; `scores` by criterion, and under "" the overall score."""

    count: int = 0
    failed: int = 0
    scores: dict[str, Measure] = field(default_factory=dict)

    @property
    def error_rate(self) -> float | None:
        return self.failed / self.count if self.count else None

    def __add__(self, other: Judged) -> Judged:
        names = {**self.scores, **other.scores}
        scores = {name: self.scores.get(name, Measure()) + other.scores.get(name, Measure()) for name in names}
        return Judged(self.count + other.count, self.failed + other.failed, scores)
