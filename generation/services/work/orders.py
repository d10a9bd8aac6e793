"""The life of an order of work, as changes of its row. Only who changes it first changes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from generation.models.work import Costed


def change_state(
    order: Costed, *, to: str, among: Sequence[str], reason: str = "", end: bool = False, **also: Any
) -> bool:
    """Move it on if it still stands in one of `among`, with these columns of its own, and read it anew.

    False: somebody else moved it first.
    """
    finished = timezone.now() if end else None
    rows: QuerySet[Any] = type(order)._default_manager.filter(pk=order.pk)
    changed = rows.filter(state__in=among).update(state=to, reason=reason, finished=finished, **also)
    order.refresh_from_db()
    return changed == 1


def fail(order: Costed, reason: str) -> None:
    """Something only a person can mend, such as a refused key."""
    change_state(order, to="failed", among=["running"], reason=reason, end=True)


def run_again(order: Costed, **also: Any) -> bool:
    """Carry on, with these columns of its own, whatever has become of it. False: it was cancelled, which is for good."""
    return change_state(order, to="running", among=["running", "paused", "stopped", "failed", "done"], **also)
