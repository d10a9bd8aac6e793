"""Which worker holds which item of an improvement: claims are leases on rows (`generation.models.work`)."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from generation.models import Improvement, ImprovementItem


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


@transaction.atomic
def reopen_lost_items() -> None:
    """Open what dead workers held. What has taken too many of them with it has failed."""
    for item in ImprovementItem.objects.all().reopen_lost():
        Improvement.objects.filter(pk=item.improvement_id).update(failed=F("failed") + 1)
