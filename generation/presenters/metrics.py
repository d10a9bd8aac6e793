"""How metrics look: their charts, the table of their numbers, and what was used by which model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Any

from django.utils.safestring import SafeString

from datasets.presenters import charts
from datasets.presenters.charts import plain
from generation.services.monitoring.kinds import amount
from generation.services.monitoring.metrics import DURATIONS, JUDGING, Metrics, measures_of, money_by_day, series
from generation.services.monitoring.numbers import CallGroup, Judged, Measure, Outcomes, together

KINDS = {
    "transient": "Server or network",
    "dialog": "The conversation",
    "fatal": "Needs a person",
}
"""`error_kind` of slots, in words."""
UNSAID = "not said"
"""Why a reply ended, where its server did not say."""
WEEK = 8
"""Days of which each has a bar; more of them are a line."""

percent = partial(amount, unit="%")
seconds = partial(amount, unit="s")
dollars = partial(amount, unit="USD")

SCORE = "evaluation_score_"
MEASURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "generation_time": ("Generation of a conversation", seconds),
    "conversation_length": ("Turns a conversation", plain),
    "call_time": ("Time a call", seconds),
    "prompt_token_count": ("Prompt tokens a call", plain),
    "completion_token_count": ("Reply tokens a call", plain),
    "total_token_count": ("Tokens a call", plain),
    "evaluation_time": ("Time of a judge's call", seconds),
}
"""What `measures_of` names, in words."""


@dataclass(frozen=True, slots=True)
class Row:
    """One metric: count, mean, lowest and highest, as they are read."""

    name: str
    count: int
    mean: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What one operation of one model has used; shares are percents of all, None where all is nothing."""

    model: str
    endpoint: str
    operation: str
    calls: int
    prompt: int
    completion: int
    money: Decimal
    tokens_share: float | None
    money_share: float | None


def shown(metrics: Metrics, endpoints: Mapping[int, str]) -> dict[str, Any]:
    """What `generation/metrics_body.html` shows. `endpoints`: their names, of those that still are."""
    if metrics.is_empty:
        return {"metrics": metrics, "step": metrics.scope.step}
    return {
        "metrics": metrics,
        "step": metrics.scope.step,
        "tokens": metrics.of_calls(lambda group: group.tokens),
        "success_rate": _rate(metrics.ended.success_rate),
        "error_rate": _rate(metrics.ended.error_rate),
        "figures": _figures(metrics),
        "rows": list(_rows(metrics)),
        "usage": usage_of(metrics, endpoints),
    }


def usage_of(metrics: Metrics, endpoints: Mapping[int, str]) -> list[Usage]:
    """By model and operation, what cost the most first."""
    tokens, money = metrics.of_calls(lambda group: group.tokens).total, metrics.money
    groups = metrics.by(lambda group: (group.endpoint, group.model, group.operation))
    found = [
        Usage(
            model, endpoints.get(endpoint, ""), operation, sum(one.calls for one in ones),
            int(sum(one.prompt.total for one in ones)), int(sum(one.completion.total for one in ones)),
            spent := sum((one.money for one in ones), Decimal(0)),
            100 * sum(one.tokens.total for one in ones) / tokens if tokens else None,
            float(100 * spent / money) if money else None,
        )
        for (endpoint, model, operation), ones in groups.items()
    ]  # fmt: skip
    return sorted(found, key=lambda one: (-one.money, -one.prompt - one.completion, one.model, one.operation))


def _rows(metrics: Metrics) -> Iterable[Row]:
    for name, measure in measures_of(metrics).items():
        title, form = MEASURES.get(name) or (f"Score: {name.removeprefix(SCORE).replace('_', ' ')}", _score_text)
        said = ["–" if value is None else form(value) for value in (measure.mean, measure.low, measure.high)]
        yield Row(title, measure.count, *said)


def _score_text(value: float) -> str:
    return f"{value:.2f}"


def _rate(value: float | None) -> str:
    return "–" if value is None else percent(value)


def _criterion(name: str) -> str:
    return name.replace("_", " ") or "overall"


# -- charts -------------------------------------------------------------------------------------------------------------


def _figures(metrics: Metrics) -> dict[str, list[SafeString]]:
    """By section of the page; sections that a scope says nothing of are missing."""
    sections = {"calls": _of_calls(metrics), "money": _of_money(metrics)}
    if not metrics.scope.is_of_some_calls:
        sections["conversations"] = _of_conversations(metrics)
    if metrics.judgements.count:
        sections["evaluation"] = _of_evaluation(metrics)
    return sections


def _of_conversations(metrics: Metrics) -> list[SafeString]:
    scope, outcomes = metrics.scope, metrics.outcomes
    kinds = [(KINDS.get(kind, kind or "Unknown"), count) for kind, count in metrics.ended.errors.most_common()]
    rates: dict[str, Callable[[Outcomes], float | None]] = {
        "Conversations that succeeded": lambda one: one.success_rate,
        "Attempts that failed": lambda one: one.error_rate,
    }
    return [
        charts.lines(
            "Success and error rate", {name: series(outcomes, scope, rate) for name, rate in rates.items()},
            form=percent, tones=["done", "failed"], top=1,
        ),
        _extremes("Generation of a conversation, seconds", metrics.generation, metrics),
        charts.bars("Conversations by the time they took", _by_duration(metrics.durations)),
        charts.bars("Failed attempts by kind", kinds, tone="failed"),
        charts.lines(
            "Turns a conversation", {"Turns": series(outcomes, scope, lambda one: one.turns.mean)}, tones=["accent"]
        ),
    ]  # fmt: skip


def _by_duration(counts: Sequence[int]) -> list[tuple[str, float]]:
    if not counts:
        return []
    between = [f"{low} – {high} s" for low, high in pairwise(DURATIONS)]
    names = [f"under {DURATIONS[0]} s", *between, f"{DURATIONS[-1]} s and more"]
    return [(name, count) for name, count in zip(names, counts, strict=True) if count]


def _extremes(title: str, by_time: Mapping[datetime, Measure], metrics: Metrics) -> SafeString:
    lines: dict[str, Callable[[Measure], float | None]] = {
        "Mean": lambda one: one.mean,
        "Longest": lambda one: one.high,
    }
    return charts.lines(
        title,
        {name: series(by_time, metrics.scope, value) for name, value in lines.items()},
        form=seconds,
        tones=["accent", "waiting"],
    )


def _of_calls(metrics: Metrics) -> list[SafeString]:
    scope, by_time = metrics.scope, metrics.by(lambda group: group.at)
    models = {model: sum(one.calls for one in ones) for model, ones in metrics.by(lambda group: group.model).items()}
    tokens: dict[str, Callable[[CallGroup], Measure]] = {
        "Prompt": lambda one: one.prompt, "Reply": lambda one: one.completion, "Both": lambda one: one.tokens,
    }  # fmt: skip
    mean = {name: series(by_time, scope, _mean_of(measure)) for name, measure in tokens.items()}
    total = {name: series(by_time, scope, _total_of(tokens[name]), nothing=0) for name in ("Prompt", "Reply")}
    latency = {at: together(one.latency for one in ones) for at, ones in by_time.items()}
    tries = series(by_time, scope, lambda ones: sum(one.tries for one in ones) / sum(one.calls for one in ones))
    return [
        charts.donut("Calls by model", models),
        charts.bars(
            "Calls by why the reply ended", [(word or UNSAID, count) for word, count in metrics.finishes.items()]
        ),
        _extremes("Seconds a call", latency, metrics),
        charts.lines("Tokens a call, on average", mean, tones=["ghost", "accent", "waiting"]),
        charts.lines("Tokens in all", total, tones=["ghost", "accent"]),
        charts.lines("Tries a call", {"Tries": tries}, tones=["flagged"], top=2),
    ]


def _mean_of(measure: Callable[[CallGroup], Measure]) -> Callable[[Iterable[CallGroup]], float | None]:
    return lambda groups: together(measure(one) for one in groups).mean


def _total_of(measure: Callable[[CallGroup], Measure]) -> Callable[[Iterable[CallGroup]], float]:
    return lambda groups: together(measure(one) for one in groups).total


def _of_money(metrics: Metrics) -> list[SafeString]:
    if not metrics.money:
        return []
    scope, by_time = metrics.scope, metrics.by(lambda group: group.at)
    spent = series(by_time, scope, lambda ones: float(sum(one.money for one in ones)), nothing=0)
    models = metrics.by(lambda group: group.model)
    by_model = {model: float(sum(one.money for one in ones)) for model, ones in models.items()}
    name = "A day" if scope.step == timedelta(days=1) else "Over time"
    figures = [
        charts.donut("By model", by_model, form=dollars),
        charts.lines(name, {"Spent": spent}, form=dollars, tones=["accent"]),
    ]
    days = money_by_day(metrics)
    if 2 < len(days) <= WEEK:
        newest = [(f"{day:%a %d %b}", float(money)) for day, money in reversed(days.items())]
        figures.append(charts.bars("A day", newest, form=dollars, tone="accent"))
    return figures


def _of_evaluation(metrics: Metrics) -> list[SafeString]:
    scope, judged = metrics.scope, metrics.judged
    scores = {_criterion(name): series(judged, scope, _score(name)) for name in ["", *metrics.criteria]}
    judging = metrics.by(lambda group: group.at if group.operation == JUDGING else None)
    times = {at: together(one.latency for one in ones) for at, ones in judging.items() if at is not None}
    return [
        charts.lines("Scores", scores, form=_score_text, top=1),
        _extremes("Seconds a judge's call", times, metrics),
        charts.lines(
            "Judgements that failed", {"Failed": series(judged, scope, lambda one: one.error_rate)},
            form=percent, tones=["failed"], top=1,
        ),
    ]  # fmt: skip


def _score(name: str) -> Callable[[Judged], float | None]:
    return lambda one: one.scores[name].mean if name in one.scores else None
