"""How the models of a project or of one run are doing over a time: counted in SQL, from the rows that the work leaves.

Nothing is kept beside the rows, so a metric is never late, never lost with a process, and the same for every worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from math import ceil
from typing import Any

from django.db import connection
from django.db.models import Max
from django.utils import timezone

from generation.models import Call, Run
from generation.services.monitoring import sql
from generation.services.monitoring.numbers import CallGroup, Judged, Measure, Outcomes, together

POINTS = 60
"""At most so many points of time in a chart, and one more where it begins in the midst of one."""
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
"""Seconds between two points of time."""
SAMPLE = 10_000
"""So many judged conversations are read; of more, every second or third one and so on."""
MANY = 50_000
"""Calls that take a noticeable time to count."""
JUDGING = "judge"
"""The operation of evaluators."""
ASIDE = ("judge", "embedding")
"""Operations that do not count as the generation of a conversation."""
WORDS = 12
"""So many words for why replies ended are told apart: servers may think of as many as they like."""
OTHERS = "others"
DURATIONS = (1, 2, 5, 10, 20, 30, 60, 120, 300)
"""Edges, in seconds, between the bars of how long conversations took."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which calls, and when. Times are aware; `until` is not included."""

    project: int
    since: datetime
    until: datetime
    run: int | None = None
    endpoint: int | None = None
    model: str = ""

    @property
    def step(self) -> timedelta:
        """The time from one point of a chart to the next."""
        seconds = (self.until - self.since).total_seconds()
        step = next((step for step in STEPS if seconds / step <= POINTS), None)
        return timedelta(seconds=step or 86400 * ceil(seconds / 86400 / POINTS))

    @property
    def origin(self) -> datetime:
        """Points of time begin here, so that those of days begin at midnight. In UTC, whose days are equally long."""
        midnight = timezone.localtime(self.since).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight.astimezone(UTC)

    @property
    def is_of_some_calls(self) -> bool:
        """Whether only the calls of some model count, which says nothing of whole conversations."""
        return bool(self.model) or self.endpoint is not None

    @property
    def first(self) -> datetime:
        """The first point of time, at or before `since`."""
        return self.origin + (self.since - self.origin) // self.step * self.step

    def points(self) -> list[datetime]:
        return [
            self.first + number * self.step for number in range(max(1, ceil((self.until - self.first) / self.step)))
        ]

    def parameters(self) -> dict[str, Any]:
        return {
            "project": self.project, "since": self.since, "until": self.until, "run": self.run, "model": self.model,
            "endpoint": self.endpoint, "step": self.step, "origin": self.origin, "first": self.first,
            "aside": list(ASIDE), "edges": [1000 * seconds for seconds in DURATIONS],
        }  # fmt: skip


@dataclass(frozen=True)
class Metrics:
    """Everything by points of time; points without rows are missing."""

    scope: Scope
    groups: list[CallGroup]
    finishes: dict[str, int]
    """Calls by the server's word for why the reply ended, most frequent first; "" where it gave none."""
    generation: dict[datetime, Measure]
    """Seconds that models took for a conversation, whatever it took to get it, but not for judging it."""
    durations: list[int]
    """Conversations by that time: one number more than there are DURATIONS."""
    outcomes: dict[datetime, Outcomes]
    judged: dict[datetime, Judged]
    sampled: int
    """Every how many-th conversation `judged` was read of."""

    @property
    def is_empty(self) -> bool:
        return not (self.groups or self.outcomes)

    @cached_property
    def ended(self) -> Outcomes:
        return sum(self.outcomes.values(), Outcomes())

    @cached_property
    def judgements(self) -> Judged:
        return sum(self.judged.values(), Judged())

    @property
    def criteria(self) -> list[str]:
        return sorted(name for name in self.judgements.scores if name)

    @cached_property
    def judging(self) -> Measure:
        """Seconds a call of an evaluator."""
        return together(group.latency for group in self.groups if group.operation == JUDGING)

    @property
    def calls(self) -> int:
        return sum(group.calls for group in self.groups)

    @property
    def tries(self) -> int:
        return sum(group.tries for group in self.groups)

    @property
    def retried(self) -> int:
        """Calls that took more than one try."""
        return sum(group.retried for group in self.groups)

    @property
    def money(self) -> Decimal:
        return sum((group.money for group in self.groups), Decimal(0))

    def of_calls(self, measure: Callable[[CallGroup], Measure]) -> Measure:
        return together(measure(group) for group in self.groups)

    def by(self, key: Callable[[CallGroup], Any]) -> dict[Any, list[CallGroup]]:
        """The groups of calls, together by whatever `key` says of them."""
        found: dict[Any, list[CallGroup]] = {}
        for group in self.groups:
            found.setdefault(key(group), []).append(group)
        return found


def metrics_of(scope: Scope) -> Metrics:
    """All metrics of a scope. Of a million calls, see `bench/metrics.py`."""
    groups = [_group(row) for row in _rows(sql.calls(scope), scope)]
    finishes = _finishes(scope)
    if scope.is_of_some_calls:
        return Metrics(scope, groups, finishes, {}, [], {}, {}, 1)
    generation, durations = _generation(scope)
    outcomes = _outcomes(scope)
    every = max(1, ceil(sum(one.done for one in outcomes.values()) / SAMPLE))
    return Metrics(scope, groups, finishes, generation, durations, outcomes, _judged(scope, every), every)


def is_large(scope: Scope) -> bool:
    """Whether counting takes so long that a page had better be there before its numbers are."""
    calls = Call.objects.filter(project=scope.project, created__gte=scope.since, created__lt=scope.until)
    return calls[:MANY].count() == MANY


def scope_of_run(run: Run) -> Scope:
    """The run's whole life. What was in flight when it was stopped has landed a little after its end."""
    now = timezone.now()
    since = run.started or run.created
    if run.is_active or run.finished is None:
        return Scope(run.project_id, since, now, run.pk)
    last = run.ledger.aggregate(last=Max("created"))["last"] or run.finished
    return Scope(run.project_id, since, max(run.finished, last) + timedelta(seconds=1), run.pk)


def scope_of_project(project_id: int, span: timedelta, **narrower: Any) -> Scope:
    """The last `span`, of one `run`, `endpoint` or `model` if they are given."""
    now = timezone.now()
    return Scope(project_id, now - span, now + timedelta(seconds=1), **narrower)


@dataclass(frozen=True, slots=True)
class RunShare:
    """What one run has used in a scope; `run` is None for what was done outside of runs."""

    run: Run | None
    calls: int
    prompt: int
    completion: int
    money: Decimal
    outcomes: Outcomes

    @property
    def tokens(self) -> int:
        return self.prompt + self.completion


def measures_of(metrics: Metrics) -> dict[str, Measure]:
    """By their names; those that a scope says nothing of are missing. Times are in seconds."""
    found = {
        "generation_time": together(metrics.generation.values()),
        "conversation_length": metrics.ended.turns,
        "call_time": metrics.of_calls(lambda group: group.latency),
        "prompt_token_count": metrics.of_calls(lambda group: group.prompt),
        "completion_token_count": metrics.of_calls(lambda group: group.completion),
        "total_token_count": metrics.of_calls(lambda group: group.tokens),
        "evaluation_time": metrics.judging,
    }
    scores = metrics.judgements.scores
    found |= {f"evaluation_score_{name or 'overall'}": scores[name] for name in sorted(scores)}
    return {name: measure for name, measure in found.items() if measure.count}


def runs_in(scope: Scope, limit: int = 20) -> list[RunShare]:
    """Those that used the most, by money and then by tokens."""
    used = _rows(sql.calls_by_run(scope), scope, limit=limit)
    runs = Run.objects.in_bulk([pk for pk, *_ in used if pk is not None])
    ended: dict[int, Outcomes] = {}
    for pk, *row in [] if scope.is_of_some_calls else _rows(sql.outcomes_by_run(scope), scope, runs=list(runs)):
        ended[pk] = ended.get(pk, Outcomes()) + _outcome(row)
    return [
        RunShare(runs.get(pk), calls, prompt, completion, money, ended.get(pk, Outcomes()))
        for pk, calls, prompt, completion, money in used
    ]


def money_by_day(metrics: Metrics) -> dict[date, Decimal]:
    """What was spent on each day of the scope, in the time zone of the pages."""
    half = metrics.scope.step / 2  # where clocks are changed, a step of a day begins an hour before or after midnight
    spent = {timezone.localtime(at + half).date(): Decimal(0) for at in metrics.scope.points()}
    for group in metrics.groups:
        spent[timezone.localtime(group.at + half).date()] += group.money
    return spent


# -- rows to numbers ----------------------------------------------------------------------------------------------------


def _rows(query: str, scope: Scope, **more: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, scope.parameters() | more)
        return cursor.fetchall()


def _measure(count: int, total: Any, low: Any, high: Any, *, unit: float = 1) -> Measure:
    if not count:
        return Measure()
    return Measure(count, float(total) / unit, float(low) / unit, float(high) / unit)


def _in_seconds(count: int, total: Any, low: Any, high: Any) -> Measure:
    """Of milliseconds."""
    return _measure(count, total, low, high, unit=1000)


def _group(row: tuple[Any, ...]) -> CallGroup:
    at, endpoint, operation, model, calls, tries, retried, money, *measured = row
    prompt, completion, tokens, latency = (measured[n : n + 3] for n in (0, 3, 6, 9))
    return CallGroup(
        at, endpoint, operation, model, calls, tries, retried, money,
        _measure(calls, *prompt), _measure(calls, *completion), _measure(calls, *tokens),
        _in_seconds(calls, *latency),
    )  # fmt: skip


def _finishes(scope: Scope) -> dict[str, int]:
    rows = _rows(sql.finishes(scope), scope, limit=WORDS)
    found = {word: count for word, count, _ in rows}
    if others := sum(int(total) for _, _, total in rows[:1]) - sum(found.values()):
        found[OTHERS] = found.get(OTHERS, 0) + others
    return found


def _generation(scope: Scope) -> tuple[dict[datetime, Measure], list[int]]:
    by_time, durations = {}, [0] * (len(DURATIONS) + 1)
    for at, bar, *measured in _rows(sql.generation(scope), scope):
        if at is None:
            durations[bar] = measured[0]
        else:
            by_time[at] = _in_seconds(*measured)
    return by_time, durations if by_time else []


def _outcome(row: Iterable[Any]) -> Outcomes:
    state, kind, count, *turns = row
    if state == "done":
        return Outcomes(done=count, turns=_measure(*turns))
    return Outcomes(failed=count if state == "failed" else 0, errors=Counter({kind: count}))


def _outcomes(scope: Scope) -> dict[datetime, Outcomes]:
    found: dict[datetime, Outcomes] = {}
    for at, *row in _rows(sql.outcomes(scope), scope):
        found[at] = found.get(at, Outcomes()) + _outcome(row)
    return found


def _judged(scope: Scope, every: int) -> dict[datetime, Judged]:
    found: dict[datetime, Judged] = {}
    for at, criterion, count, failed, *measured in _rows(sql.judged(scope), scope, every=every):
        one = Judged(count, failed) if criterion == "" else Judged()
        one.scores[criterion] = _measure(*measured)
        found[at] = found.get(at, Judged()) + one
    return found


def series(
    by_time: Mapping[datetime, Any], scope: Scope, value: Callable[[Any], float | None], *, nothing: float | None = None
) -> list[tuple[datetime, float | None]]:
    """(time, value) for every point of the scope, oldest first; `nothing` where there are no rows."""
    return [(at, value(by_time[at]) if at in by_time else nothing) for at in scope.points()]
