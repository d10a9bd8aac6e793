"""What the pages of an improvement show: read from rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count
from redis import RedisError

from datasets import pulse
from generation.engine.stopping import same_kind
from generation.models import Improvement, ImprovementItem

from . import pullers

State = ImprovementItem.State
FAILURES = 500


@dataclass(frozen=True, slots=True)
class Progress:
    waiting: int
    running: int
    proposed: int
    """Proposals that nobody has decided on."""
    accepted: int
    declined: int
    failed: int
    cancelled: int
    better: int
    """Of the undecided, those that score higher than what they would replace."""
    next: int | None
    """The first undecided proposal."""
    errors: list[tuple[str, int]]
    """An example of each kind of failure, and how many there are."""
    silence: int | None
    """Seconds since a worker was heard, when it has been too long; 0 when none ever was."""
    trouble: str
    """What is being tried again just now, in the server's own words."""

    @property
    def decided(self) -> int:
        return self.accepted + self.declined


def progress_of(improvement: Improvement) -> Progress:
    counts = dict(improvement.items.order_by().values_list("state").annotate(n=Count("pk")))
    silence, trouble = _heard(improvement)
    return Progress(
        waiting=counts.get(State.PENDING, 0),
        running=counts.get(State.RUNNING, 0),
        proposed=counts.get(State.PROPOSED, 0),
        accepted=counts.get(State.ACCEPTED, 0),
        declined=counts.get(State.DECLINED, 0),
        failed=counts.get(State.FAILED, 0),
        cancelled=counts.get(State.CANCELLED, 0),
        better=improvement.items.better().count(),
        next=improvement.items.undecided().order_by("pk").values_list("pk", flat=True).first(),
        errors=_errors(improvement),
        silence=silence,
        trouble=trouble,
    )


def _errors(improvement: Improvement) -> list[tuple[str, int]]:
    failing = improvement.items.exclude(error="").order_by("-updated").values_list("error", flat=True)[:FAILURES]
    examples: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for error in failing:
        examples.setdefault(same_kind(error), error)
        counts[same_kind(error)] += 1
    return [(examples[kind], count) for kind, count in counts.most_common(5)]


def _heard(improvement: Improvement) -> tuple[int | None, str]:
    """How long no worker has been heard, and what troubles the one that is at it."""
    if not improvement.is_active:
        return None, ""
    try:
        silence = None if pulse.listens("default") else pulse.silence("default") or 0
        return silence, pullers.trouble_of(improvement)
    except RedisError:  # where workers are heard of
        return 0, ""


def decided(rows: Iterable[Improvement]) -> dict[int, int]:
    """How many proposals of each improvement have been accepted or declined."""
    items = ImprovementItem.objects.filter(improvement__in=list(rows), state__in=[State.ACCEPTED, State.DECLINED])
    return dict(items.order_by().values_list("improvement").annotate(n=Count("pk")))
