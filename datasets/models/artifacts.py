"""What workers make as a whole or not at all, such as a file of rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, Self, TypeVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

LEASE = timedelta(seconds=60)
MAX_ATTEMPTS = 3


class Lost(Exception):
    """Another worker took it over, or somebody deleted it."""


class Artifact(models.Model):
    """Something that one worker at a time makes, under a lease that it renews as it goes along.

    Killed in the middle, it is begun again when the lease has run out; after `MAX_ATTEMPTS` it counts as failed. Its
    table has a `state`.
    """

    state: models.CharField[str, str]
    MAKING: ClassVar[str]
    """The state while a worker is at it; before that it is "waiting"."""
    GAVE_UP: ClassVar[str]
    """What is said when it took too many workers with it."""

    error = models.TextField(blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    finished = models.DateTimeField(null=True)

    class Meta:
        abstract = True

    @property
    def is_active(self) -> bool:
        return self.state in ("waiting", self.MAKING)

    def keep(self, **columns: Any) -> None:
        """Write to the row and renew the lease, as long as this attempt is the latest. Raises Lost when it is not."""
        self._write(lease_until=timezone.now() + LEASE, **columns)

    def end(self, state: str, **columns: Any) -> None:
        """Let it go for good. Raises Lost when another attempt has begun."""
        self._write(state=state, lease_until=None, finished=timezone.now(), **columns)

    def _write(self, **columns: Any) -> None:
        rows: models.QuerySet[Any] = type(self)._default_manager.filter(pk=self.pk)
        if not rows.filter(attempts=self.attempts, state=self.MAKING).update(**columns):
            raise Lost


Made = TypeVar("Made", bound=Artifact)


class ArtifactQuerySet(models.QuerySet[Made]):
    def waiting(self) -> Self:
        """Those that no worker holds."""
        free = Q(lease_until=None) | Q(lease_until__lt=timezone.now())
        return self.filter(free, state__in=["waiting", self.model.MAKING])

    def claim(self, pk: int, **columns: Any) -> Made | None:
        """The one, if this caller got it, with these columns set anew."""
        free = self.waiting().filter(pk=pk)
        gave_up = self.model.GAVE_UP.format(MAX_ATTEMPTS)
        if free.filter(attempts__gte=MAX_ATTEMPTS).update(
            state="failed", error=gave_up, lease_until=None, finished=timezone.now()
        ):
            return None
        lease = {"lease_until": timezone.now() + LEASE, "attempts": F("attempts") + 1}
        won = free.update(state=self.model.MAKING, **lease, **columns)
        return self.select_related("project").get(pk=pk) if won else None
