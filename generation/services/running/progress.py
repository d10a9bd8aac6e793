"""What a run's page shows while it lives: read from rows, never from a counter in memory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count, Q
from django.utils import timezone
from redis import RedisError

from datasets.models import Conversation
from generation.engine.recipe import Budget
from generation.models import Run, Slot
from generation.services.running import sinks
from generation.services.work.troubles import ErrorGroup, Heard, error_groups, heard

WINDOW = timedelta(seconds=60)
CHART_SPAN = timedelta(minutes=10)
POINTS = 30
LANDED_AT_MOST = 2_000
LATEST = 12


@dataclass(frozen=True, slots=True)
class Progress:
    waiting: int
    running: int
    done: int
    failed: int
    cancelled: int
    rate: float
    """Conversations a minute, over the last minute."""
    calls_per_second: float
    eta: timedelta | None
    elapsed: timedelta | None
    acceptance: float | None
    errors: list[ErrorGroup]
    latest: list[Conversation]
    throughput: list[float]
    """Calls a second along the chart, oldest first."""
    latency: list[float]
    """Mean seconds a call, along the same time."""
    heard: Heard
    sink_trouble: str
    """What is being tried again just now, in the server's own words."""
    budget: Budget


def progress_of(run: Run) -> Progress:
    running = run.slots.filter(state=Slot.State.RUNNING).count()
    waiting = run.slots_open - running
    cancelled = run.state == Run.State.CANCELLED
    rate, calls = _rates(run)
    throughput, latency = _chart(run)
    return Progress(
        waiting=0 if cancelled else waiting,
        running=running,
        done=run.slots_done,
        failed=run.slots_failed,
        cancelled=waiting if cancelled else 0,
        rate=rate,
        calls_per_second=calls,
        eta=_eta(run, rate),
        elapsed=_elapsed(run),
        acceptance=_acceptance(run),
        errors=error_groups(run.slots.all()),
        latest=list(run.batch.conversations.select_related("persona").order_by("-pk")[:LATEST]),
        throughput=throughput,
        latency=latency,
        heard=heard(run, queue="press"),
        sink_trouble=_sink_trouble(run),
        budget=Budget.model_validate(run.spec["budget"]),
    )


def _rates(run: Run) -> tuple[float, float]:
    """Conversations a minute and calls a second, over the last minute or the run's life if that is shorter."""
    if not run.started or not run.is_active:
        return 0.0, 0.0
    now = timezone.now()
    since = max(now - WINDOW, run.started)
    seconds = max(1.0, (now - since).total_seconds())
    calls = run.ledger.filter(created__gte=since).count()
    return 60 * _landed_since(run, since) / seconds, calls / seconds


def _landed_since(run: Run, since: datetime) -> int:
    """Only the newest rows are looked at: a run may have a hundred thousand."""
    newest = run.batch.conversations.order_by("-pk").values_list("created", flat=True)[:LANDED_AT_MOST]
    return sum(created >= since for created in newest)


def _eta(run: Run, rate: float) -> timedelta | None:
    return timedelta(minutes=run.slots_open / rate) if run.is_active and rate > 0 else None


def _elapsed(run: Run) -> timedelta | None:
    return (run.finished or timezone.now()) - run.started if run.started else None


def _acceptance(run: Run) -> float | None:
    """Share of approved conversations among those that a person has decided on."""
    counts = run.batch.conversations.aggregate(
        approved=Count("pk", filter=Q(status="approved")), rejected=Count("pk", filter=Q(status="rejected"))
    )
    decided = counts["approved"] + counts["rejected"]
    return counts["approved"] / decided if decided else None


CHART = """
    SELECT width_bucket(extract(epoch FROM created)::float8, %(begin)s, %(end)s, %(points)s), count(*), avg(latency_ms)
    FROM generation_call WHERE run_id = %(run)s AND created >= to_timestamp(%(begin)s) GROUP BY 1
"""


def _chart(run: Run) -> tuple[list[float], list[float]]:
    """Calls a second and seconds a call over the run's life, or over its last minutes while that is longer."""
    if not run.started:
        return [], []
    end = (run.finished or timezone.now()).timestamp()
    begin = max(run.started.timestamp(), end - CHART_SPAN.total_seconds())
    width = (end - begin) / POINTS
    if width <= 0:
        return [], []
    with connection.cursor() as cursor:
        cursor.execute(CHART, {"begin": begin, "end": end, "points": POINTS, "run": run.pk})
        buckets = {number: (calls, float(latency)) for number, calls, latency in cursor.fetchall()}
    # A landing in the very instant of the end falls into a bucket of its own, which is none.
    rates = [buckets[number][0] / width if number in buckets else 0.0 for number in range(1, POINTS + 1)]
    return rates, [buckets[number][1] / 1000 for number in range(1, POINTS + 1) if number in buckets]


def _sink_trouble(run: Run) -> str:
    try:
        return sinks.trouble_of(run.pk) if run.spec.get("sinks") else ""
    except RedisError:
        return ""
