"""The pulse of the workers: who listens to which queue, kept in Redis for as long as it is fresh."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import cache

import redis
from django.conf import settings

FRESH = 20
"""Seconds after its last beat for which a worker counts as listening; workers beat every two seconds."""


@cache
def board() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, **settings.REDIS_PATIENCE)


def beat(queues: Iterable[str]) -> None:
    for queue in queues:
        board().set(f"pulse:{queue}", int(time.time()))


def silence(queue: str) -> int | None:
    """Seconds since a worker of `queue` was last heard, or None if none ever was, or the board itself is away."""
    try:
        last = board().get(f"pulse:{queue}")
    except (redis.ConnectionError, redis.TimeoutError):
        return None
    return None if last is None else max(0, int(time.time()) - int(last))


def listens(queue: str) -> bool:
    quiet = silence(queue)
    return quiet is not None and quiet <= FRESH
