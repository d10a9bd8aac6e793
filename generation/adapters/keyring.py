"""The keys of an endpoint, shared by all worker processes through Redis.

Redis keeps counters and rests, the database keeps the keys. Losing what Redis knows costs forgotten counters and a
refused call or two.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis.asyncio
from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import timezone
from redis import RedisError
from redis.asyncio.connection import BlockingConnectionPool
from redis.commands.core import AsyncScript

from datasets.pulse import board
from datasets.text import clean
from generation.engine.errors import EngineError, FatalError, KeyRefused, Overloaded, TransientError
from generation.engine.providers.keys import DAY, HOUR, RULES, Hear, Key, KeyRules, Rest, news_of, patiently
from generation.engine.providers.limits import LONGEST_PAUSE
from generation.models import Endpoint, EndpointKey
from generation.secrets import Undecryptable

from .keyring_scripts import LEND, LOOK, SETTLE
from .threads import in_a_thread

log = logging.getLogger(__name__)

LOOK_EVERY = 0.5
"""Seconds between two looks at what other processes have been told, for a key that needs no counting call by call."""
REVISION_KEPT = 86_400
REFUSAL_KEPT = 60.0
"""Seconds for which a refusal that is known is not written down again: all calls in flight meet with the same."""
CONNECTIONS = 4
NO_KEY = Key("", "")
"""For servers that want none."""


def pause_name(endpoint: int) -> str:
    return f"endpoint:{endpoint}:pause"


def revision_name(endpoint: int) -> str:
    return f"endpoint:{endpoint}:revision"


def hash_name(key: str | int) -> str:
    return f"endpoint:key:{key}"


def lendable(rows: Sequence[EndpointKey]) -> list[Key]:
    """Those of an endpoint that are switched on; one that is empty when it has none at all. Raises Undecryptable."""
    on = [Key(str(row.pk), row.reveal(), row.hourly_limit, row.daily_limit) for row in rows if row.active]
    return on if rows else [NO_KEY]


class SharedKeys:
    """A KeyRing of one endpoint. Owned by one event loop, and closed with its ClientPool.

    A single key without limits costs no round trip a call: it is counted, and pauses are looked up, twice a second.
    Changes that people make to the keys are taken up by the next call, or by the next look.
    """

    def __init__(self, endpoint: Endpoint, hear: Hear, rules: KeyRules = RULES) -> None:
        """Raises Undecryptable when a key cannot be read."""
        rows = list(endpoint.keys.all())
        self._endpoint = endpoint.pk
        self._keys = lendable(rows)
        self._refused = {str(row.pk): -math.inf for row in rows if row.refused}
        self._hear = hear
        self._rules = rules
        self._redis: redis.asyncio.Redis | None = None
        self._scripts: dict[str, AsyncScript] = {}
        self._lock = asyncio.Lock()
        self._revision = ""
        self._held: set[str] = set()
        self._made = 0
        self._next_look = self._paused_until = 0.0

    @property
    def size(self) -> int:
        return len(self._keys)

    async def lend(self, patience: float) -> Key:
        return await patiently(self._take, patience, self._hear)

    async def settle(self, key: Key, error: EngineError | None) -> None:
        if isinstance(error, KeyRefused):
            await self._keep_refusal(key, error)
        elif error is None and key.id in self._refused:
            await self._forget_refusal(key)
        news = news_of(error)
        if news == "fine" and key.id not in self._held:
            return
        wish = error.retry_after if isinstance(error, Overloaded) else None
        if wish and (news == "failed" or not key.id):
            await self._tell_pause(min(wish, LONGEST_PAUSE))
        if self._is_alone:
            self._next_look = 0.0
        if key.id and (news == "limited" or not self._is_alone):
            await self._tell(key, news, wish)

    async def close(self) -> None:
        if self._redis is None:
            return
        await self._count_made()
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()
        self._redis, self._scripts = None, {}

    # -- lending ------------------------------------------------------------------------------------------------------

    @property
    def _is_alone(self) -> bool:
        """Whether there is one key, and nothing to count before a call."""
        return self.size == 1 and self._keys[0].hourly_limit is None and self._keys[0].daily_limit is None

    async def _take(self) -> Key | Rest:
        while True:
            if not self._keys:
                await self._look()
                if not self._keys:
                    raise FatalError("Every key of this endpoint is switched off: switch one on, or add another.")
            found = await (self._take_only() if self._is_alone else self._take_next())
            if found is not None:
                return found

    async def _take_only(self) -> Key | Rest | None:
        if time.monotonic() >= self._next_look:
            async with self._lock:
                if time.monotonic() >= self._next_look:
                    await self._look()
            return None  # the keys may have changed
        if (left := self._paused_until - time.monotonic()) > 0:
            return Rest(left, "paused")
        self._made += 1
        return self._keys[0]

    async def _take_next(self) -> Key | Rest | None:
        """None when the keys have changed."""
        keys = self._keys
        limits = [limit or 0 for key in keys for limit in (key.hourly_limit, key.daily_limit)]
        what, *said = await self._run(LEND, [key.id for key in keys], [self._revision, *limits], named=True)
        match what.decode():
            case "news":
                await self._reload(said[0].decode())
                return None
            case "rest":
                return Rest(said[0] / 1000, said[1].decode(), said[2])
        key = keys[said[0] - 1]
        (self._held.add if said[1] else self._held.discard)(key.id)
        return key

    async def _look(self) -> None:
        """See whether there is a pause, or other keys."""
        seen = await self._count_made()
        self._next_look = time.monotonic() + LOOK_EVERY
        if seen is None:
            return
        revision, pause = seen
        self._paused_until = time.monotonic() + pause / 1000
        if revision and revision != self._revision:
            await self._reload(revision)

    async def _count_made(self) -> tuple[str, int] | None:
        """Count the calls since the last time. Returns the revision and the ms of a pause; None when Redis is away,
        which keeps no call from being made."""
        made, self._made = self._made, 0
        counted = [key.id for key in self._keys if key.id][:1]
        try:
            revision, pause = await self._run(LOOK, counted, [made], named=True)
        except TransientError as error:
            self._made += made
            log.warning("%s", error)
            return None
        return revision.decode(), pause

    async def _reload(self, revision: str) -> None:
        try:
            self._keys = await in_a_thread(_current_keys, self._endpoint)
        except Undecryptable as error:
            raise FatalError(str(error)) from None
        except DatabaseError as error:
            raise TransientError(f"The keys of this endpoint cannot be read just now: {error}") from error
        self._revision = revision
        self._next_look = 0.0

    # -- telling the others -------------------------------------------------------------------------------------------

    async def _tell(self, key: Key, news: str, wish: float | None) -> None:
        rules = self._rules
        seconds = (rules.apart, rules.cooldown, rules.aside, rules.unsaid)
        longest = -1 if wish is None else round(1000 * min(wish, rules.longest))
        others = [other.id for other in self._keys if other.id != key.id]
        arguments = [news, longest, rules.errors, *(round(1000 * part) for part in seconds)]
        try:
            await self._run(SETTLE, [key.id, *others], arguments)
        except TransientError as error:  # it is told by the next call that fares the same
            log.warning("%s", error)

    async def _tell_pause(self, wish: float) -> None:
        """What the server asks of everybody, whatever the key, holds every process back."""
        try:
            await self._client().set(pause_name(self._endpoint), 1, px=max(1, round(1000 * wish)))
        except RedisError as error:
            log.warning("A pause could not be told to other workers: %s", error)

    async def _keep_refusal(self, key: Key, error: KeyRefused) -> None:
        if self.size > 1:
            self._hear(f"A key of this endpoint was refused and is put aside: {error}")
        now = time.monotonic()
        if key.id and now - self._refused.get(key.id, -math.inf) > REFUSAL_KEPT:
            self._refused[key.id] = now
            await _saved(key, refused=timezone.now(), refusal=clean(str(error)))

    async def _forget_refusal(self, key: Key) -> None:
        del self._refused[key.id]
        await _saved(key, refused=None, refusal="")

    # -- Redis --------------------------------------------------------------------------------------------------------

    def _client(self) -> redis.asyncio.Redis:
        if self._redis is None:
            options: dict[str, Any] = {"socket_timeout": 2, "socket_connect_timeout": 2}
            pool = BlockingConnectionPool.from_url(
                settings.REDIS_URL, max_connections=CONNECTIONS, timeout=20, **options
            )
            self._redis = redis.asyncio.Redis(connection_pool=pool)
        return self._redis

    async def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Any], *, named: bool = False) -> Any:
        """`named`: with the names of the pause and the revision before those of the keys."""
        if script not in self._scripts:
            self._scripts[script] = self._client().register_script(script)
        names = [pause_name(self._endpoint), revision_name(self._endpoint)] if named else []
        try:
            return await self._scripts[script](keys=[*names, *map(hash_name, keys)], args=arguments)
        except RedisError as error:
            raise TransientError(f"The use of this endpoint's keys cannot be counted just now: {error}") from error


def _current_keys(endpoint: int) -> list[Key]:
    return lendable(list(EndpointKey.objects.filter(endpoint=endpoint)))


async def _saved(key: Key, **values: Any) -> None:
    try:
        await in_a_thread(EndpointKey.objects.filter(pk=key.id).update, **values)
    except DatabaseError:
        log.warning("What a server said of key %s could not be kept.", key.id, exc_info=True)


# -- for pages ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What all workers have made of a key. `aside`: the server refused it, and others are used in its place."""

    calls_hour: int = 0
    calls_day: int = 0
    rests_until: datetime | None = None
    aside: bool = False


def uses_of(keys: Iterable[EndpointKey]) -> dict[int, KeyUse]:
    """The use of each key, by its primary key; nothing of any when Redis does not answer."""
    pks = [key.pk for key in keys]
    pipe = board().pipeline(transaction=False)
    for pk in pks:
        pipe.hmget(hash_name(pk), "hour", "hour_calls", "day", "day_calls", "rests", "refused")
    try:
        return {pk: _use(known) for pk, known in zip(pks, pipe.execute(), strict=True)} if pks else {}
    except RedisError:
        return {}


def _use(known: Sequence[bytes | None]) -> KeyUse:
    hour, hour_calls, day, day_calls, rests, refused = (float(value or 0) for value in known)
    now = time.time()
    return KeyUse(
        calls_hour=int(hour_calls) if hour == now // HOUR else 0,
        calls_day=int(day_calls) if day == now // DAY else 0,
        rests_until=datetime.fromtimestamp(rests / 1000, UTC) if rests > now * 1000 else None,
        aside=refused > now * 1000,
    )


def announce_change(endpoint: int) -> None:
    """Have workers read the keys of the endpoint again, once what has been changed is committed."""
    token = uuid.uuid4().hex
    transaction.on_commit(
        lambda: board().set(revision_name(endpoint), token, ex=REVISION_KEPT),
        robust=True,
    )


def wake(key: EndpointKey) -> None:
    """Forget that the key rests or was refused, but not what it has been used for."""
    board().hdel(hash_name(key.pk), "rests", "errors", "erred", "limited", "refused")


def forget(key: int) -> None:
    """What was known of a key that is no more."""
    board().delete(hash_name(key))
