"""What the tables of all work have in common: what it has cost, and who holds a piece of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Self, TypeVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone

from datasets.text import clean
from generation.engine.protocols import Failed

LEASE = timedelta(seconds=settings.SLOT_LEASE_SECONDS)
MAX_ATTEMPTS = 3
"""How often a piece of work is begun before it counts as failed."""
RETRY_AFTER = timedelta(seconds=20)
"""How long a piece that failed for a passing reason waits for its next attempt, times the attempts so far."""


class Costed(models.Model):
    """An order of work that calls models, with as many pieces as it has: its counters are kept by the transactions that
    land what they count. Its table has a `project`, a `state`, a `reason` for it, and when it was `finished`.
    """

    project_id: int
    state: models.CharField[str, str]
    concurrency: Any
    """So many pieces may be in flight, of all workers together."""

    calls = models.PositiveIntegerField(default=0)
    prompt_tokens = models.PositiveBigIntegerField(default=0)
    completion_tokens = models.PositiveBigIntegerField(default=0)
    cost = models.DecimalField(max_digits=14, decimal_places=6, default=0)

    class Meta:
        abstract = True

    @property
    def pieces(self) -> LeasedQuerySet[Any]:
        """What workers claim of it."""
        raise NotImplementedError

    @property
    def is_active(self) -> bool:
        return self.state == "running"

    @property
    def is_ended(self) -> bool:
        """Whether what is in flight is to be dropped."""
        return self.state in ("cancelled", "failed")

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class WorkState(models.TextChoices):
    """Where a piece of work stands. A table whose results are decided on has others in place of `DONE`."""

    PENDING = "pending", "Waiting"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


Piece = TypeVar("Piece", bound="Leased")
Held = Iterable[tuple[int, str]]
"""Pieces by primary key, each with the token of the claim on it."""


class LeasedQuerySet(models.QuerySet[Piece]):
    """Claims are leases, taken and lost by conditional updates: any number of workers take pieces side by side."""

    def waiting(self) -> Self:
        """Those that can be begun now."""
        return self.filter(Q(not_before=None) | Q(not_before__lte=timezone.now()), state=WorkState.PENDING)

    @transaction.atomic
    def claim(self, limit: int) -> list[Piece]:
        """Up to `limit` of those that wait, in their order, now leased to the caller under one fresh token."""
        # SKIP LOCKED: nobody waits for what another is taking.
        pieces = list(self.waiting().select_for_update(skip_locked=True, of=("self",))[:limit])
        now = timezone.now()
        lease = {"state": WorkState.RUNNING, "lease_token": uuid.uuid4(), "lease_until": now + LEASE, "updated": now}
        self.model._default_manager.filter(pk__in=[piece.pk for piece in pieces]).update(
            attempts=F("attempts") + 1, **lease
        )
        for piece in pieces:
            piece.attempts += 1
            for name, value in lease.items():
                setattr(piece, name, value)
        return pieces

    def open(self) -> Self:
        """Those that have not ended."""
        return self.filter(state__in=[WorkState.PENDING, WorkState.RUNNING])

    def cancel(self) -> None:
        """End those that have not ended; who holds one loses it."""
        self.open().update(state=WorkState.CANCELLED, lease_token=None, lease_until=None)

    def retry(self, **also: Any) -> int:
        """Open again what has failed, with these columns of its own. Returns how many these are."""
        return self.filter(state=WorkState.FAILED).update(
            state=WorkState.PENDING, attempts=0, error="", not_before=None, updated=timezone.now(), **also
        )

    def renew(self, held: Held) -> None:
        tokens = sorted({token for _, token in held})
        self.filter(state=WorkState.RUNNING, lease_token__in=tokens).update(lease_until=timezone.now() + LEASE)

    def release(self, held: Held) -> None:
        """Give pieces back as if they had never been begun; those whose claim was lost are left alone."""
        for pk, token in held:
            self.filter(pk=pk, lease_token=token, state=WorkState.RUNNING).update(
                state=WorkState.PENDING, lease_token=None, lease_until=None, attempts=F("attempts") - 1
            )

    def still_held(self, held: Held) -> dict[int, Piece]:
        """The pieces whose claim still holds, locked, by primary key."""
        tokens = dict(held)
        rows = self.select_for_update(of=("self",)).filter(pk__in=tokens, state=WorkState.RUNNING).order_by("pk")
        return {piece.pk: piece for piece in rows if str(piece.lease_token) == tokens[piece.pk]}

    @transaction.atomic
    def reopen_lost(self) -> Sequence[Piece]:
        """Open what dead workers held. Returns what has taken too many workers with it, which has failed now."""
        lost = self.filter(state=WorkState.RUNNING, lease_until__lt=timezone.now())
        poisoned = lost.filter(attempts__gte=MAX_ATTEMPTS).select_for_update(skip_locked=True, of=("self",))
        failed = list(poisoned.order_by("pk"))
        for piece in failed:
            piece.end(WorkState.FAILED, error=f"The worker died {piece.attempts} times while {piece.doing}.")
        lost.update(state=WorkState.PENDING, lease_token=None, lease_until=None)
        return failed


class Leased(models.Model):
    """A piece of work that one worker at a time holds, until its lease runs out."""

    State = WorkState
    doing: ClassVar[str]
    """What a worker does with it, in words."""

    state = models.CharField(max_length=10, choices=WorkState, default=WorkState.PENDING)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(null=True, help_text="What failed for a passing reason waits until then.")
    error = models.TextField(blank=True)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True

    def end(self, state: str, error: str = "") -> None:
        """Nobody holds it any more."""
        self.state, self.error = state, error
        self.lease_token, self.lease_until = None, None
        self.save()

    def fail(self, failed: Failed) -> bool:
        """A passing failure waits for another attempt; one that a person has to mend, or for want of calls, leaves it as
        if it had never been begun. Whether it has failed for good.
        """
        if failed.kind == "fatal" or failed.retry_after is not None:
            self.attempts, state = max(0, self.attempts - 1), WorkState.PENDING
        elif failed.kind == "transient" and self.attempts < MAX_ATTEMPTS:
            self.not_before, state = timezone.now() + RETRY_AFTER * self.attempts, WorkState.PENDING
        else:
            state = WorkState.FAILED
        self.end(state, clean(failed.error))
        return state == WorkState.FAILED
