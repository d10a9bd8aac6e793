"""When a run is to stop before its slots are used up: pure rules over what has landed, successes and failures alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import floor

from .recipe import Budget

_VARIABLE = re.compile(r"\b[0-9a-f-]{8,}\b|\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens (prompt and completion together) and money: of a whole run, or of one dialog on average."""

    tokens: float = 0
    money: Decimal = Decimal(0)


def budget_reached(budget: Budget, spent: Spent) -> str | None:
    """The reason to stop, or None."""
    if budget.tokens is not None and spent.tokens >= budget.tokens:
        return f"The token budget of {budget.tokens:,} is used up."
    if budget.money is not None and spent.money >= budget.money:
        return f"The money budget of {budget.money:f} is used up."
    return None


def affordable(budget: Budget, spent: Spent, in_flight: int, mean: Spent) -> int | None:
    """How many more dialogs may start; None is no limit.

    Each dialog in flight, and each that starts, is reckoned at the `mean` of those that ended (before any has, at the
    estimate). At 0 with none in flight the run has to stop: what is left does not pay for one more.
    """
    limits = [
        _affordable(limit, used, each, in_flight)
        for limit, used, each in (
            (budget.tokens, spent.tokens, mean.tokens),
            (budget.money, spent.money, mean.money),
        )
        if limit is not None
    ]
    return min((limit for limit in limits if limit is not None), default=None)


def _affordable(limit: float | Decimal, used: float | Decimal, each: float | Decimal, in_flight: int) -> int | None:
    left = Decimal(limit) - Decimal(used)
    if left <= 0:
        return 0
    if each <= 0:
        return None
    return max(0, floor(left / Decimal(each)) - in_flight)


@dataclass(frozen=True, slots=True)
class FailureRules:
    """Stop on failures. `outcomes` are the latest to land, oldest first: None for a dialog made, else its error."""

    window: int = 50
    least: int = 20
    """Outcomes that there must be before a rate is a rate."""
    rate: float = 0.5
    """Share of failures in the window, from 0 to 1, at which to stop."""
    alike: int = 10
    """Consecutive failures with one and the same error at which to stop."""
    what: str = "conversations"
    """In words, what fails."""

    def reason(self, outcomes: Iterable[str | None]) -> str | None:
        """The reason to stop, or None."""
        known = list(outcomes)
        return self._all_alike(known) or self._too_many(known[-self.window :])

    def _too_many(self, outcomes: Sequence[str | None]) -> str | None:
        failed = sum(error is not None for error in outcomes)
        if len(outcomes) < self.least or failed < self.rate * len(outcomes):
            return None
        last = next(error for error in reversed(outcomes) if error is not None)
        return f"{failed} of the last {len(outcomes)} {self.what} failed. The latest error: {last}"

    def _all_alike(self, outcomes: Sequence[str | None]) -> str | None:
        if not outcomes or outcomes[-1] is None:
            return None
        last = outcomes[-1]
        kinds = [None if error is None else same_kind(error) for error in reversed(outcomes)]
        streak = next((n for n, kind in enumerate(kinds) if kind != kinds[0]), len(kinds))
        return f"{streak} {self.what} in a row failed with the same error: {last}" if streak >= self.alike else None


def same_kind(error: str) -> str:
    """An error without its numbers and request ids, so that two of a kind compare equal."""
    return _VARIABLE.sub("#", error)
