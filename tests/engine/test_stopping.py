"""When a run stops by itself."""

from __future__ import annotations

from collections import deque
from decimal import Decimal

import pytest

from generation.engine.recipe import Budget
from generation.engine.stopping import FailureRules, Spent, affordable, budget_reached

TOKENS = Budget(tokens=1000)
MONEY = Budget(money=Decimal("2.50"))


def test_a_budget_is_reached_when_all_of_it_is_spent_and_the_reason_names_it() -> None:
    assert budget_reached(TOKENS, Spent(tokens=999)) is None
    assert budget_reached(TOKENS, Spent(tokens=1000)) == "The token budget of 1,000 is used up."
    assert budget_reached(MONEY, Spent(money=Decimal("2.49"))) is None
    assert "2.50" in (budget_reached(MONEY, Spent(money=Decimal("2.5"))) or "")
    assert budget_reached(Budget(), Spent(10**12, Decimal(10**9))) is None


@pytest.mark.parametrize(
    ("spent", "in_flight", "mean", "more"),
    [
        (0, 0, 100, 10),
        (0, 4, 100, 6),
        (500, 4, 100, 1),
        (500, 5, 100, 0),
        (500, 9, 100, 0),
        (950, 0, 100, 0),
        (1200, 0, 100, 0),
    ],
)
def test_dialogs_start_only_while_the_budget_covers_those_in_flight_and_one_more(
    spent: int, in_flight: int, mean: int, more: int
) -> None:
    assert affordable(TOKENS, Spent(spent), in_flight, Spent(mean)) == more


def test_the_tighter_of_two_budgets_counts() -> None:
    both = Budget(tokens=1000, money=Decimal(1))
    assert affordable(both, Spent(), 0, Spent(100, Decimal("0.25"))) == 4
    assert affordable(both, Spent(), 0, Spent(500, Decimal("0.25"))) == 2


def test_without_a_budget_or_a_price_there_is_no_limit() -> None:
    assert affordable(Budget(), Spent(5), 3, Spent(100, Decimal(1))) is None
    assert affordable(MONEY, Spent(5), 3, Spent(100)) is None
    assert affordable(MONEY, Spent(5, Decimal(3)), 3, Spent(100)) == 0


RULES = FailureRules(window=20, least=10, rate=0.5, alike=5)


def test_the_error_rate_is_the_share_of_failures_in_the_window() -> None:
    assert RULES.reason(["x", *[None] * 99]) is None
    half = ["a", None, "b", None] * 5
    assert RULES.reason(half) == "10 of the last 20 conversations failed. The latest error: b"
    assert RULES.reason([*half, *[None] * 15]) is None


def test_outcomes_may_be_a_bounded_queue() -> None:
    assert RULES.reason(deque([None, *["x"] * 5], maxlen=5)) is not None


def test_a_rate_needs_enough_outcomes() -> None:
    assert RULES.reason(["a", "b", "a", "b"]) is None
    assert RULES.reason([]) is None


def test_the_same_error_again_and_again_stops_before_there_is_a_rate() -> None:
    errors = [f"Request 0af{n}1234567 timed out after {n} s." for n in range(5)]
    assert RULES.reason(errors[:4]) is None
    reason = RULES.reason(errors)
    assert reason is not None
    assert reason.startswith("5 conversations in a row failed with the same error")


def test_a_success_or_another_error_breaks_a_row_of_failures() -> None:
    assert RULES.reason(["a"] * 4 + [None] + ["a"] * 4) is None
    assert RULES.reason(["a"] * 4 + ["b"] + ["a"] * 4) is None
