"""Which worker holds which branch of a growth: claims are leases, taken and lost by conditional updates."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from generation.models import PersonaBranch, PersonaGrowth

from .claims import LEASE, MAX_ATTEMPTS

State = PersonaBranch.State


@transaction.atomic
def claim_branches(*, growth_id: int) -> list[PersonaBranch]:
    """As many branches as the growth's concurrency has room for, now leased to the caller, the nearest layer first.

    The growth's row is locked meanwhile, so that any number of workers keep to its concurrency together.
    """
    running = PersonaGrowth.objects.filter(pk=growth_id, state=PersonaGrowth.State.RUNNING)
    growth = running.select_for_update(no_key=True).first()
    if growth is None:
        return []
    room = growth.concurrency - growth.branches.filter(state=State.RUNNING).count()
    if room <= 0:
        return []
    now = timezone.now()
    due = Q(not_before=None) | Q(not_before__lte=now)
    free = growth.branches.filter(due, state=State.PENDING).order_by("depth", "pk")
    chosen = list(free.values_list("pk", flat=True)[:room])
    token = uuid.uuid4()
    PersonaBranch.objects.filter(pk__in=chosen, state=State.PENDING).update(
        state=State.RUNNING, lease_token=token, lease_until=now + LEASE, attempts=F("attempts") + 1, updated=now
    )
    claimed = PersonaBranch.objects.filter(pk__in=chosen, lease_token=token).order_by("depth", "pk")
    long = ("document__text", "document__pages", "document__metadata")
    return list(claimed.select_related("document", "persona__current").defer(*long))


def renew_claims(*, held: Iterable[PersonaBranch]) -> None:
    tokens = {branch.lease_token for branch in held}
    PersonaBranch.objects.filter(lease_token__in=tokens, state=State.RUNNING).update(lease_until=timezone.now() + LEASE)


def release_claims(*, held: Sequence[PersonaBranch]) -> None:
    """Give branches back as if they had never been begun; those whose claim was lost are left alone."""
    for branch in held:
        PersonaBranch.objects.filter(pk=branch.pk, lease_token=branch.lease_token, state=State.RUNNING).update(
            state=State.PENDING, lease_token=None, lease_until=None, attempts=F("attempts") - 1
        )


def reopen_lost_claims() -> None:
    """Open the branches whose worker died, and fail those that have taken too many workers with them."""
    active = PersonaGrowth.objects.filter(state=PersonaGrowth.State.RUNNING)
    lost = PersonaBranch.objects.filter(growth__in=active, state=State.RUNNING, lease_until__lt=timezone.now())
    free = {"lease_token": None, "lease_until": None, "updated": timezone.now()}
    lost.filter(attempts__gte=MAX_ATTEMPTS).update(
        state=State.FAILED, error=f"The worker died {MAX_ATTEMPTS} times at this step.", **free
    )
    lost.filter(attempts__lt=MAX_ATTEMPTS).update(state=State.PENDING, **free)
