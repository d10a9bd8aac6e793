"""Stopping rules of a recipe: what they are, as data, and when each is met. They nest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from .part import Variant


@dataclass(frozen=True, slots=True)
class Facts:
    """How far a run is. Tokens and money are those of all of its calls, failed ones included."""

    made: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: Decimal = Decimal(0)
    personas: int = 0
    """Different personas in the conversations that were made."""
    coverage: Mapping[int, float] = field(default_factory=dict)
    """For a number of visits, the share of the passages that were asked about at least so often."""
    outcomes: Sequence[bool] = ()
    """The latest conversations to end, oldest first: whether each failed."""


class Conversations(Variant):
    """So many conversations were made."""

    kind: Literal["conversations"] = "conversations"
    number: Annotated[int, Field(ge=1, le=100_000)]

    def reason(self, facts: Facts) -> str | None:
        return f"{facts.made:,} conversations were made." if facts.made >= self.number else None


class Coverage(Variant):
    """A share of the corpus's passages was asked about, each at least `visits` times."""

    kind: Literal["coverage"] = "coverage"
    visits: Annotated[int, Field(ge=1, le=1000)] = 1
    share: Annotated[float, Field(gt=0, le=1)] = 1.0

    def reason(self, facts: Facts) -> str | None:
        covered = facts.coverage.get(self.visits, 0.0)
        if covered < self.share:
            return None
        times = "" if self.visits == 1 else f" {self.visits} times"
        return f"{covered:.0%} of the passages were asked about{times}."


class Personas(Variant):
    """So many different personas have spoken."""

    kind: Literal["personas"] = "personas"
    number: Annotated[int, Field(ge=1, le=100_000)]

    def reason(self, facts: Facts) -> str | None:
        return f"{facts.personas:,} different personas have spoken." if facts.personas >= self.number else None


class Spending(Variant):
    """Tokens or money are used up; whichever is named and comes first."""

    kind: Literal["spending"] = "spending"
    prompt_tokens: Annotated[int, Field(ge=1)] | None = None
    completion_tokens: Annotated[int, Field(ge=1)] | None = None
    tokens: Annotated[int, Field(ge=1)] | None = None
    """Prompt and completion tokens together."""
    money: Annotated[Decimal, Field(gt=0)] | None = None

    def reason(self, facts: Facts) -> str | None:
        tokens = facts.prompt_tokens + facts.completion_tokens
        spent: list[tuple[str, Decimal | int, Decimal | int | None]] = [
            ("The limit of {:,} prompt tokens is reached.", facts.prompt_tokens, self.prompt_tokens),
            ("The limit of {:,} reply tokens is reached.", facts.completion_tokens, self.completion_tokens),
            ("The limit of {:,} tokens is reached.", tokens, self.tokens),
            ("The money limit of {:,f} is reached.", facts.money, self.money),
        ]
        used_up = (said.format(limit) for said, used, limit in spent if limit is not None and used >= limit)
        return next(used_up, None)


class ErrorRate(Variant):
    """Too many of the latest conversations failed: a share of all that ended, made ones included."""

    kind: Literal["error_rate"] = "error_rate"
    rate: Annotated[float, Field(gt=0, le=1)] = 0.5
    window: Annotated[int, Field(ge=1, le=1000)] = 50
    least: Annotated[int, Field(ge=1, le=1000)] = 10
    """Conversations that must have ended before a rate is a rate."""

    def reason(self, facts: Facts) -> str | None:
        latest = facts.outcomes[-self.window :]
        failed = sum(latest)
        if len(latest) < self.least or failed < self.rate * len(latest):
            return None
        return f"{failed} of the last {len(latest)} conversations failed."


class AllOf(Variant):
    """Every one of these is met."""

    kind: Literal["all"] = "all"
    rules: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=20)]


class AnyOf(Variant):
    """One of these is met."""

    kind: Literal["any"] = "any"
    rules: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=20)]


class Custom(Variant):
    """A rule that the installation adds, by its name."""

    kind: Literal["custom"] = "custom"
    name: str
    options: dict[str, Any] = {}


Rule = Annotated[
    Conversations | Coverage | Personas | Spending | ErrorRate | AllOf | AnyOf | Custom,
    Field(discriminator="kind"),
]


class StoppingRule(Protocol):
    """A rule that can be asked. A rule of the installation's own is anything that has this method."""

    def reason(self, facts: Facts) -> str | None:
        """Why the run is to stop, in a sentence, or None while it is not."""
        ...


@dataclass(frozen=True, slots=True)
class _All:
    rules: tuple[StoppingRule, ...]

    def reason(self, facts: Facts) -> str | None:
        reasons = [reason for rule in self.rules if (reason := rule.reason(facts))]
        return " ".join(reasons) if len(reasons) == len(self.rules) else None


@dataclass(frozen=True, slots=True)
class _Any:
    rules: tuple[StoppingRule, ...]

    def reason(self, facts: Facts) -> str | None:
        return next((reason for rule in self.rules if (reason := rule.reason(facts))), None)


def live(rules: Sequence[Rule], custom: Mapping[str, Callable[..., StoppingRule]]) -> StoppingRule:
    """The rules as one, which is met when any of them is. KeyError for a custom one that `custom` does not have."""
    return _Any(tuple(_live(rule, custom) for rule in rules))


def _live(rule: Rule, custom: Mapping[str, Callable[..., StoppingRule]]) -> StoppingRule:
    match rule:
        case AllOf():
            return _All(tuple(_live(inner, custom) for inner in rule.rules))
        case AnyOf():
            return _Any(tuple(_live(inner, custom) for inner in rule.rules))
        case Custom():
            return custom[rule.name](**rule.options)
        case _:
            return rule


def each(rules: Sequence[Rule]) -> Iterator[Rule]:
    """All rules, those inside others too."""
    for rule in rules:
        yield rule
        if isinstance(rule, AllOf | AnyOf):
            yield from each(rule.rules)


def most(rules: Sequence[Rule]) -> int | None:
    """How many conversations the run makes at most by its outermost rules; None when they set no number."""
    return min((rule.number for rule in rules if isinstance(rule, Conversations)), default=None)


def visits(rules: Sequence[Rule]) -> int | None:
    """How often each passage is to be asked about: the most that any rule wants; None when no rule does."""
    return max((rule.visits for rule in each(rules) if isinstance(rule, Coverage)), default=None)
