"""What goes wrong with an order of work, for the page that shows it: read from rows, and from the board of workers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from redis import RedisError

from datasets import pulse
from generation.engine.stopping import same_kind
from generation.models.work import Costed, LeasedQuerySet, WorkState
from generation.services.work import pullers

SHOWN, LOOKED_AT = 5, 500


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Failures of one kind: an example in the server's own words, how many there are, and when the last was."""

    error: str
    count: int
    waiting: int
    """How many of them will be tried again by themselves."""
    last: datetime


def error_groups(pieces: LeasedQuerySet[Any]) -> list[ErrorGroup]:
    """The latest failures by kind, most frequent first."""
    failing = pieces.exclude(error="").filter(state__in=[WorkState.FAILED, WorkState.PENDING]).order_by("-updated")
    groups: dict[str, list[tuple[str, str, datetime]]] = {}
    for error, state, updated in failing.values_list("error", "state", "updated")[:LOOKED_AT]:
        groups.setdefault(same_kind(error), []).append((error, state, updated))
    found = [
        ErrorGroup(rows[0][0], len(rows), sum(state == WorkState.PENDING for _, state, _ in rows), rows[0][2])
        for rows in groups.values()
    ]
    return sorted(found, key=lambda group: -group.count)[:SHOWN]


@dataclass(frozen=True, slots=True)
class Heard:
    """What workers say of an order."""

    silence: int | None = None
    """Seconds since a worker was heard, when it has been too long; 0 when none ever was."""
    trouble: str = ""
    """What is being tried again just now, in the server's own words."""


def heard(order: Costed, *, queue: str) -> Heard:
    """Of an order that runs; nothing is to be heard of others."""
    if not order.is_active:
        return Heard()
    try:
        silence = None if pulse.listens(queue) else pulse.silence(queue) or 0
        return Heard(silence, pullers.trouble_of(order))
    except RedisError:  # where workers are heard of
        return Heard(0)
