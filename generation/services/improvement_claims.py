"""Which worker holds which conversation of an improvement: leases, taken and lost by conditional updates."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from generation.models import Improvement, ImprovementItem

from .claims import LEASE, MAX_ATTEMPTS

State = ImprovementItem.State

CLAIM = """
    WITH free AS (
        SELECT id FROM generation_improvementitem
        WHERE improvement_id = %(improvement)s AND state = 'pending' AND (not_before IS NULL OR not_before <= now())
          AND EXISTS (SELECT 1 FROM generation_improvement WHERE id = %(improvement)s AND state = 'running')
        ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
    UPDATE generation_improvementitem AS item
    SET state = 'running', lease_token = %(token)s, lease_until = now() + %(lease)s, attempts = attempts + 1,
        updated = now()
    FROM free WHERE item.id = free.id
    RETURNING item.id
"""


def claim_items(*, improvement_id: int, limit: int) -> list[ImprovementItem]:
    """Up to `limit` that wait, now leased to the caller under one fresh token, with what they are made from."""
    parameters: dict[str, Any] = {
        "improvement": improvement_id, "limit": limit, "token": uuid.uuid4(), "lease": LEASE,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, parameters)
        claimed = [pk for (pk,) in cursor.fetchall()]
    if not claimed:
        return []
    Improvement.objects.filter(pk=improvement_id, started=None).update(started=timezone.now())
    rows = ImprovementItem.objects.filter(pk__in=claimed).select_related("base", "conversation__persona__current")
    return list(rows.defer("base__search").prefetch_related("base__judgements").order_by("pk"))


def renew_claims(*, improvement_id: int, tokens: Sequence[str]) -> None:
    held = ImprovementItem.objects.filter(improvement_id=improvement_id, state=State.RUNNING, lease_token__in=tokens)
    held.update(lease_until=timezone.now() + LEASE)


def release_claims(*, held: Sequence[tuple[int, str]]) -> None:
    """Give items back as if they had never been begun. `held` are (item id, token); lost claims are left alone."""
    for pk, token in held:
        ImprovementItem.objects.filter(pk=pk, lease_token=token, state=State.RUNNING).update(
            state=State.PENDING, lease_token=None, lease_until=None, attempts=F("attempts") - 1
        )


@transaction.atomic
def reopen_lost_claims() -> int:
    """Open the items whose worker died, and fail those that have taken too many workers with them."""
    lost = Q(state=State.RUNNING, lease_until__lt=timezone.now())
    poisoned = ImprovementItem.objects.filter(lost, attempts__gte=MAX_ATTEMPTS).select_for_update(skip_locked=True)
    for item in poisoned.order_by("pk"):
        item.state, item.lease_token, item.lease_until = State.FAILED, None, None
        item.error = f"The worker died {item.attempts} times while improving this conversation."
        item.save()
        Improvement.objects.filter(pk=item.improvement_id).update(failed=F("failed") + 1)
    return ImprovementItem.objects.filter(lost).update(state=State.PENDING, lease_token=None, lease_until=None)
