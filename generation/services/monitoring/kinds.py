"""What each kind of alert rule looks at, from when on it speaks, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from generation.models import AlertRule
from generation.services.monitoring.facts import Facts

AlertKind = AlertRule.Kind
Unit = Literal["%", "s", "tokens", "turns", "USD"]
FEWEST_FAILURES = 2
"""A rate needs so many failures: one alone is no rate, however low the threshold is."""


class Reading(NamedTuple):
    """What was measured; `failures` is None where nothing can fail."""

    value: float
    samples: int
    failures: int | None = None


@dataclass(frozen=True, slots=True)
class KindOfRule:
    """`read` is None where a rule looks at more than a run in a window, `samples` says what `min_samples` counts."""

    unit: Unit
    threshold: float
    sentence: str
    read: Callable[[Facts], Reading]
    samples: str = ""
    below: bool = False
    window: int = 5
    min_samples: int = 5
    active: bool = True
    severity: str = AlertRule.Severity.WARNING

    def breaks(self, rule: AlertRule, reading: Reading) -> bool:
        """Whether enough was seen, and it is beyond the threshold."""
        if reading.samples < max(1, rule.min_samples):
            return False
        if reading.failures is not None and reading.failures < FEWEST_FAILURES:
            return False
        return reading.value < rule.threshold if self.below else reading.value > rule.threshold

    def say(self, rule: AlertRule, reading: Reading) -> str:
        return self.sentence.format(
            value=amount(reading.value, self.unit), threshold=amount(rule.threshold, self.unit),
            samples=_number(reading.samples, 0), window=span(rule.window),
        )  # fmt: skip


def amount(value: float, unit: Unit) -> str:
    """A value with its unit, as people read it."""
    if unit == "USD":
        return f"${_number(value, 2 if value < 100 else 0)}" if value >= 0.01 or not value else f"${value:.4f}"
    if unit == "%":
        return f"{_number(100 * value, 1)} %"
    if unit == "s" and abs(value) < 1:
        return f"{round(value, 3):.2g} s"
    return f"{_number(value, 0 if unit == 'tokens' else 1)} {unit}"


def _number(value: float, places: int) -> str:
    """Grouped by thousands; without the zeros that would say nothing."""
    shown = f"{value:,.{places}f}".replace(",", "\u202f")
    return shown.removesuffix("." + places * "0") if places else shown


def span(minutes: int) -> str:
    if minutes % 1440 == 0:
        return "day" if minutes == 1440 else f"{minutes // 1440} days"
    if minutes % 60 == 0:
        return "hour" if minutes == 60 else f"{minutes // 60} hours"
    return "minute" if minutes == 1 else f"{minutes} minutes"


def _mean(total: float, count: int) -> float:
    return total / count if count else 0.0


KINDS: dict[str, KindOfRule] = {
    AlertKind.LOW_SUCCESS_RATE: KindOfRule(
        "%", 0.8, "Only {value} of {samples} conversations succeeded in the last {window}; at least {threshold} should.",
        lambda facts: Reading(_mean(facts.done, facts.done + facts.failed), facts.done + facts.failed, facts.failed),
        samples="conversations", below=True,
    ),
    AlertKind.HIGH_ERROR_RATE: KindOfRule(
        "%", 0.2, "{value} of {samples} attempts at conversations failed in the last {window}; at most {threshold} should.",
        lambda facts: Reading(_mean(facts.errors, facts.attempts), facts.attempts, facts.errors),
        samples="attempts", severity=AlertRule.Severity.ERROR,
    ),
    AlertKind.SLOW_GENERATION: KindOfRule(
        "s", 30, "A conversation took the models {value} on average in the last {window}; at most {threshold} are expected.",
        lambda facts: Reading(_mean(facts.seconds, facts.dialogs), facts.dialogs), samples="conversations",
    ),
    AlertKind.PROMPT_TOKENS: KindOfRule(
        "tokens", 4096, "A call had prompts of {value} on average in the last {window}; at most {threshold} are expected.",
        lambda facts: Reading(_mean(facts.prompt, facts.calls), facts.calls), samples="calls", min_samples=10,
    ),
    AlertKind.COMPLETION_TOKENS: KindOfRule(
        "tokens", 4096, "A call had replies of {value} on average in the last {window}; at most {threshold} are expected.",
        lambda facts: Reading(_mean(facts.completion, facts.calls), facts.calls), samples="calls", min_samples=10,
    ),
    AlertKind.TOTAL_TOKENS: KindOfRule(
        "tokens", 8192, "A call took {value} on average in the last {window}; at most {threshold} are expected.",
        lambda facts: Reading(_mean(facts.prompt + facts.completion, facts.calls), facts.calls),
        samples="calls", min_samples=10,
    ),
    AlertKind.EVALUATION_ERROR_RATE: KindOfRule(
        "%", 0.2, "The judge failed on {value} of {samples} conversations in the last {window}; at most {threshold} should fail.",
        lambda facts: Reading(_mean(facts.misjudged, facts.judged), facts.judged, facts.misjudged),
        samples="judgements", severity=AlertRule.Severity.ERROR,
    ),
    AlertKind.LONG_CONVERSATIONS: KindOfRule(
        "turns", 2, "Conversations had {value} on average in the last {window}; at most {threshold} are expected.",
        lambda facts: Reading(_mean(facts.turns, facts.done), facts.done), samples="conversations", active=False,
    ),
    AlertKind.BUDGET: KindOfRule(
        "%", 0.8, "{value} of the run's budget are used; you are told from {threshold} on.",
        lambda facts: Reading(facts.budget_used, 1), min_samples=1,
    ),
    AlertKind.SPENDING: KindOfRule(
        "USD", 25, "{value} were spent in the last {window}; at most {threshold} are expected.",
        lambda facts: Reading(facts.money, 1), min_samples=1, window=1440,
    ),
}  # fmt: skip
"""By `AlertRule.Kind`; the thresholds are those that a project begins with."""

OF_THE_PROJECT = {AlertKind.SPENDING}
"""What is looked at across all runs."""
WITHOUT_WINDOW = {AlertKind.BUDGET}
"""What does not look back."""
