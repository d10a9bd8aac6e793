"""What the page of a growth shows while it lives: read from its rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count
from django.utils import timezone

from datasets.models import Persona
from generation.engine.personas import calls_of
from generation.models import PersonaBranch, PersonaGrowth
from generation.services.work.troubles import ErrorGroup, Heard, error_groups, heard

State = PersonaBranch.State
LATEST = 10


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
    heard: Heard


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
        errors=error_groups(growth.branches.all()),
        latest=list(made.waiting().select_related("document", "current").order_by("-pk")[:LATEST]),
        to_review=made.waiting().count(),
        elapsed=elapsed,
        left=elapsed / done * waiting if done and growth.is_active else None,
        heard=heard(growth, queue="default"),
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
