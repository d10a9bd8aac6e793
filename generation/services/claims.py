"""Which worker holds which slot: claims are leases, taken and lost by conditional updates."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from generation.models import Run, Slot

from .openings import free_waiting

LEASE = timedelta(seconds=settings.SLOT_LEASE_SECONDS)
MAX_ATTEMPTS = 3
"""How often a slot is begun before it counts as failed."""

# One statement: it sees the run's state and takes the slots in the same instant, and SKIP LOCKED lets any number of
# workers claim side by side without waiting for each other.
CLAIM = """
    WITH free AS (
        SELECT id FROM generation_slot
        WHERE run_id = %(run)s AND state = 'pending' AND (not_before IS NULL OR not_before <= now())
          AND (leads OR opening <> '')
          AND EXISTS (SELECT 1 FROM generation_run WHERE id = %(run)s AND state = 'running')
        ORDER BY index LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
    UPDATE generation_slot AS slot
    SET state = 'running', lease_token = %(token)s, lease_until = now() + %(lease)s, attempts = attempts + 1,
        updated = now()
    FROM free WHERE slot.id = free.id
    RETURNING slot.id
"""


def claim_slots(*, run_id: int, limit: int) -> list[Slot]:
    """Up to `limit` waiting slots, now leased to the caller under one fresh token."""
    parameters: dict[str, Any] = {"run": run_id, "limit": limit, "token": uuid.uuid4(), "lease": LEASE}
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, parameters)
        claimed = [pk for (pk,) in cursor.fetchall()]
    if not claimed:
        return []
    Run.objects.filter(pk=run_id, started=None).update(started=timezone.now())
    return list(Slot.objects.filter(pk__in=claimed).order_by("index"))


def renew_claims(*, run_id: int, tokens: Sequence[str]) -> None:
    Slot.objects.filter(run_id=run_id, state=Slot.State.RUNNING, lease_token__in=tokens).update(
        lease_until=timezone.now() + LEASE
    )


def release_claims(*, held: Sequence[tuple[int, str]]) -> None:
    """Give slots back as if they had never been begun. `held` are (slot id, token); lost claims are left alone."""
    for pk, token in held:
        Slot.objects.filter(pk=pk, lease_token=token, state=Slot.State.RUNNING).update(
            state=Slot.State.PENDING, lease_token=None, lease_until=None, attempts=F("attempts") - 1
        )


@transaction.atomic
def reopen_lost_claims() -> int:
    """Open the slots whose worker died, and fail those that have taken too many workers with them."""
    lost = Q(state=Slot.State.RUNNING, lease_until__lt=timezone.now())
    poisoned = list(
        Slot.objects.filter(lost, attempts__gte=MAX_ATTEMPTS).select_for_update(skip_locked=True).order_by("run_id")
    )
    for slot in poisoned:
        slot.state, slot.lease_token, slot.lease_until = Slot.State.FAILED, None, None
        slot.error_kind, slot.error = "dialog", f"The worker died {slot.attempts} times while making this conversation."
        slot.save()
        free_waiting(slot)
        Run.objects.filter(pk=slot.run_id).update(slots_failed=F("slots_failed") + 1)
    return Slot.objects.filter(lost).update(state=Slot.State.PENDING, lease_token=None, lease_until=None)
