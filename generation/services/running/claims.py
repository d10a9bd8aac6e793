"""Which worker holds which slot: claims are leases on rows (`generation.models.work`)."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from generation.models import Run, Slot
from generation.services.running.openings import free_waiting


def claim_slots(*, run_id: int, limit: int) -> list[Slot]:
    """Up to `limit` slots whose question is there or theirs to write."""
    run = Run.objects.only("started").filter(pk=run_id, state=Run.State.RUNNING).first()
    if run is None:
        return []
    slots = Slot.objects.filter(Q(leads=True) | ~Q(opening=""), run=run_id).order_by("index").claim(limit)
    if slots and run.started is None:
        Run.objects.filter(pk=run_id, started=None).update(started=timezone.now())
    return slots


@transaction.atomic
def reopen_lost_slots() -> None:
    """Open what dead workers held. What has taken too many of them with it has failed."""
    for slot in Slot.objects.all().reopen_lost():
        Slot.objects.filter(pk=slot.pk).update(error_kind="dialog")
        free_waiting(slot)
        Run.objects.filter(pk=slot.run_id).update(slots_failed=F("slots_failed") + 1)
