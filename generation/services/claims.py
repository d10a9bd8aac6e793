"""Which worker holds which piece of work: claims are leases on rows (`generation.models.work`)."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from generation.models import Improvement, ImprovementItem, PersonaBranch, PersonaGrowth, Run, Slot

from .openings import free_waiting


def claim_slots(*, run_id: int, limit: int) -> list[Slot]:
    """Up to `limit` slots whose question is there or theirs to write."""
    run = Run.objects.only("started").filter(pk=run_id, state=Run.State.RUNNING).first()
    if run is None:
        return []
    slots = Slot.objects.filter(Q(leads=True) | ~Q(opening=""), run=run_id).order_by("index").claim(limit)
    if slots and run.started is None:
        Run.objects.filter(pk=run_id, started=None).update(started=timezone.now())
    return slots


def claim_items(*, improvement_id: int, limit: int) -> list[ImprovementItem]:
    """Up to `limit` conversations, with what they are improved from."""
    improvement = Improvement.objects.only("started").filter(pk=improvement_id, state=Improvement.State.RUNNING).first()
    if improvement is None:
        return []
    free = ImprovementItem.objects.filter(improvement=improvement_id).select_related(
        "base", "conversation__persona__current"
    )
    items = free.defer("base__search").prefetch_related("base__judgements").order_by("pk").claim(limit)
    if items and improvement.started is None:
        Improvement.objects.filter(pk=improvement_id, started=None).update(started=timezone.now())
    return items


def claim_branches(*, growth_id: int, limit: int) -> list[PersonaBranch]:
    """Up to `limit` branches, the nearest layer first, with what personas are written from."""
    if not PersonaGrowth.objects.filter(pk=growth_id, state=PersonaGrowth.State.RUNNING).exists():
        return []
    free = PersonaBranch.objects.filter(growth=growth_id).select_related("document", "persona__current")
    long = ("document__text", "document__pages", "document__metadata")
    return free.defer(*long).order_by("depth", "pk").claim(limit)


@transaction.atomic
def reopen_lost_claims() -> None:
    """Open what dead workers held. What has taken too many of them with it has failed."""
    for slot in Slot.objects.all().reopen_lost():
        Slot.objects.filter(pk=slot.pk).update(error_kind="dialog")
        free_waiting(slot)
        Run.objects.filter(pk=slot.run_id).update(slots_failed=F("slots_failed") + 1)
    for item in ImprovementItem.objects.all().reopen_lost():
        Improvement.objects.filter(pk=item.improvement_id).update(failed=F("failed") + 1)
    PersonaBranch.objects.all().reopen_lost()
