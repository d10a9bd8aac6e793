"""What the page of a growth shows while it lives: read from its rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count
from django.utils import timezone

from datasets import pulse
from datasets.models import Persona
from generation.engine.personas import calls_of
from generation.engine.stopping import same_kind
from generation.models import PersonaBranch, PersonaGrowth

from .pullers import trouble_of

State = PersonaBranch.State
LATEST, ERRORS, LOOKED_AT = 10, 5, 300


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Failures of one kind: an example, how many there are, how many come again by themselves, and when the last was."""

    error: str
    count: int
    waiting: int
    last: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """Steps by how they stand. `waiting` counts those too that can only begin when the ones before them have ended."""

    waiting: int
    running: int
    done: int
    failed: int
    errors: list[ErrorGroup]
    latest: list[Persona]
    to_review: int
    elapsed: timedelta
    left: timedelta | None
    silent: bool
    trouble: str


def progress_of(growth: PersonaGrowth) -> Progress:
    counts = _counts(growth)
    waiting = _waiting(growth, counts)
    done = sum(n for (state, _), n in counts.items() if state == State.DONE)
    elapsed = (growth.finished or timezone.now()) - growth.created
    documents = growth.branches.filter(depth=0).values("document")
    made = Persona.objects.filter(project=growth.project_id, document__in=documents)
    return Progress(
        waiting=waiting,
        running=sum(n for (state, _), n in counts.items() if state == State.RUNNING),
        done=done,
        failed=sum(n for (state, _), n in counts.items() if state == State.FAILED),
        errors=_errors(growth),
        latest=list(made.waiting().select_related("document", "current").order_by("-pk")[:LATEST]),
        to_review=made.waiting().count(),
        elapsed=elapsed,
        left=elapsed / done * waiting if done and growth.is_active else None,
        silent=growth.is_active and not pulse.listens("default"),
        trouble=trouble_of(growth) if growth.is_active else "",
    )


def _counts(growth: PersonaGrowth) -> Counter[tuple[str, int]]:
    rows = growth.branches.order_by().values_list("state", "depth").annotate(n=Count("pk"))
    return Counter({(state, depth): n for state, depth, n in rows})


def _waiting(growth: PersonaGrowth, counts: Counter[tuple[str, int]]) -> int:
    """Every open branch with all that would grow from it, but those that run."""
    if growth.state == PersonaGrowth.State.CANCELLED:
        return 0
    trees = {depth: calls_of(growth.depth - depth) for depth in range(growth.depth + 1)}
    pending = sum(trees[depth] * n for (state, depth), n in counts.items() if state == State.PENDING)
    return pending + sum((trees[depth] - 1) * n for (state, depth), n in counts.items() if state == State.RUNNING)


def _errors(growth: PersonaGrowth) -> list[ErrorGroup]:
    """The latest failures by kind, most frequent first."""
    failing = growth.branches.exclude(error="").filter(state__in=[State.FAILED, State.PENDING]).order_by("-updated")
    groups: dict[str, list[tuple[str, str, datetime]]] = {}
    for error, state, updated in failing.values_list("error", "state", "updated")[:LOOKED_AT]:
        groups.setdefault(same_kind(error), []).append((error, state, updated))
    found = [
        ErrorGroup(rows[0][0], len(rows), sum(state == State.PENDING for _, state, _ in rows), rows[0][2])
        for rows in groups.values()
    ]
    return sorted(found, key=lambda group: -group.count)[:ERRORS]
