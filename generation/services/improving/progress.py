"""What the pages of an improvement show: read from rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count

from generation.models import Improvement, ImprovementItem
from generation.services.work.troubles import ErrorGroup, Heard, error_groups, heard

State = ImprovementItem.State


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
    errors: list[ErrorGroup]
    heard: Heard

    @property
    def decided(self) -> int:
        return self.accepted + self.declined


def progress_of(improvement: Improvement) -> Progress:
    counts = dict(improvement.items.order_by().values_list("state").annotate(n=Count("pk")))
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
        errors=error_groups(improvement.items.all()),
        heard=heard(improvement, queue="default"),
    )


def decided(rows: Iterable[Improvement]) -> dict[int, int]:
    """How many proposals of each improvement have been accepted or declined."""
    items = ImprovementItem.objects.filter(improvement__in=list(rows), state__in=[State.ACCEPTED, State.DECLINED])
    return dict(items.order_by().values_list("improvement").annotate(n=Count("pk")))
