"""Several API keys of one server: which of them pays for a request, and what is made of what became of it.

Those that are free take turns, the one that was lent longest ago first. A key rests for as long as the server asked it
to, when its calls of the hour or day are spent, and after a row of failures; one that the server refuses is put aside
while there are others.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol, TypeVar

from generation.engine.errors import EngineError, KeyRefused, OutOfCalls, Overloaded, RateLimited, TransientError

T = TypeVar("T")
Hear = Callable[[str], None]
News = Literal["fine", "refused", "limited", "failed"]

HOUR, DAY = 3600, 86400
LOOK_AGAIN = 5.0
"""Who waits for a key looks again after so many seconds at the latest: one may have been added."""


@dataclass(frozen=True, slots=True)
class Key:
    """An API key. `id` is what it is counted under. Limits are calls in an hour and a day of the clock, in UTC."""

    id: str
    secret: str = field(repr=False)
    hourly_limit: int | None = None
    daily_limit: int | None = None


@dataclass(frozen=True, slots=True)
class KeyRules:
    """When a key rests, in seconds."""

    errors: int = 5
    """Failures in a row after which a key cools down, unless no other is free: then it is the server that fails."""
    apart: float = 1.0
    """Failures that are nearer to each other than this are one piece of news."""
    cooldown: float = 60.0
    aside: float = 3600.0
    """How long a refused key is passed over while there are others; then it is tried again."""
    longest: float = 3600.0
    """A server's wish is granted up to so many seconds; then one asks again."""
    unsaid: float = 60.0
    """A 429 that names no time: one second, doubled each time in a row, up to this, where there are other keys. For an
    only key it is left to the limit on what is in flight."""


RULES = KeyRules()


class KeyRing(Protocol):
    """Lends keys. May be shared by many processes; for one event loop here."""

    @property
    def size(self) -> int:
        """How many keys there are."""
        ...

    async def lend(self, patience: float) -> Key:
        """A key for one request, which counts from now on. Waits while all rest, up to `patience` seconds.

        Raises OutOfCalls or TransientError at once when that will not do, FatalError when there is no key.
        """
        ...

    async def settle(self, key: Key, error: EngineError | None) -> None:
        """How the request went for which `key` was lent. One that was cancelled need not be told."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Rest:
    """Why there is no key now, and for how many seconds."""

    seconds: float
    why: Literal["paused", "resting", "spent"]
    keys: int = 1

    def error(self) -> OutOfCalls | TransientError:
        whose = "The key" if self.keys == 1 else f"Every one of the {self.keys} keys"
        if self.why == "spent":
            free = datetime.now(UTC) + timedelta(seconds=self.seconds)
            when = f"{free:%H:%M} UTC, in {_spoken(self.seconds)}"
            return OutOfCalls(
                f"{whose} of this endpoint has made the calls that its limit allows. The next can be made at {when}: "
                "wait until then, add a key, or raise the limit.",
                retry_after=self.seconds,
            )
        asked = "The server has asked for a pause" if self.why == "paused" else f"{whose} of this endpoint rests"
        return TransientError(f"{asked}: the next call is made in {_spoken(self.seconds)}.", retry_after=self.seconds)


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{round(minutes / 60)} h"


def news_of(error: EngineError | None) -> News:
    """What an outcome says of the key. A request that was refused for what it holds says nothing against it."""
    match error:
        case KeyRefused():
            return "refused"
        case RateLimited():
            return "limited"
        case TransientError():
            return "failed"
    return "fine"


async def patiently(take: Callable[[], Awaitable[Key | Rest]], patience: float, hear: Hear) -> Key:
    """The key that `take` finds, waited for as KeyRing.lend says; `hear` is told why, as long as it lasts."""
    waited = 0.0
    while isinstance(found := await take(), Rest):
        error = found.error()
        if waited + found.seconds > patience:
            raise error
        hear(str(error))
        # All who wait were told the same moment.
        jitter = random.uniform(0.01, 0.01 + min(1.0, found.seconds / 4))  # noqa: S311 (no secret)
        pause = min(found.seconds + jitter, LOOK_AGAIN)
        await asyncio.sleep(pause)
        waited += pause
    return found


async def with_a_key(keys: KeyRing, patience: float, call: Callable[[str], Awaitable[T]]) -> T:
    """What `call` makes of a key's secret; of another key when it is refused or rate limited, once for each there is.

    When no key will do, a refusal is the error only if all were refused: else the server wants less.
    """
    limited: RateLimited | None = None
    size = keys.size
    for left in reversed(range(max(1, size))):
        key = await keys.lend(patience)
        try:
            result = await call(key.secret)
        except EngineError as error:
            await keys.settle(key, error)
            if not isinstance(error, (KeyRefused, RateLimited)):
                raise
            limited = error if isinstance(error, RateLimited) else limited
            if not left:
                # The ring knows when each key is free again, so the server's wish is not passed on.
                raise Overloaded(str(limited)) if limited else _refused(size, error) from error
        else:
            await keys.settle(key, None)
            return result
    raise AssertionError("A ring has been asked for at least one key.")


def _refused(size: int, last: EngineError) -> EngineError:
    return (
        last if size <= 1 else KeyRefused(f"The server refuses all {size} keys of this endpoint. The last one: {last}")
    )


def _deaf(trouble: str) -> None:
    """For whom there is nobody to tell."""


@dataclass(slots=True)
class _Record:
    """What is known of one key. Times are those of the pool's clock."""

    lent: int = 0
    window: dict[int, int] = field(default_factory=dict)
    calls: dict[int, int] = field(default_factory=dict)
    rests: float = 0.0
    errors: int = 0
    erred: float = 0.0
    limited: int = 0
    refused: float = 0.0

    def count(self, now: float) -> None:
        for span in (HOUR, DAY):
            self.calls[span] = self.made(span, now) + 1
            self.window[span] = int(now // span)

    def made(self, span: int, now: float) -> int:
        """Calls in this hour or day."""
        return self.calls[span] if self.window.get(span) == int(now // span) else 0

    def spent(self, key: Key, now: float) -> float:
        """Seconds until its limits allow another call."""
        limits = ((HOUR, key.hourly_limit), (DAY, key.daily_limit))
        reached = [span for span, limit in limits if limit is not None and self.made(span, now) >= limit]
        return max((span - now % span for span in reached), default=0.0)


class KeyPool:
    """A KeyRing in memory, for one process. `clock` tells seconds since the epoch."""

    def __init__(
        self,
        keys: Sequence[Key],
        rules: KeyRules = RULES,
        *,
        hear: Hear = _deaf,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not keys:
            raise ValueError("A pool needs at least one key.")
        self._keys = {key.id: key for key in keys}
        self._records = {key.id: _Record() for key in keys}
        self._rules = rules
        self._hear = hear
        self._clock = clock
        self._lent = 0

    @property
    def size(self) -> int:
        return len(self._keys)

    async def lend(self, patience: float) -> Key:
        return await patiently(self._take, patience, self._hear)

    async def settle(self, key: Key, error: EngineError | None) -> None:
        record, now = self._records[key.id], self._clock()
        match news_of(error):
            case "fine":
                record.errors = record.limited = 0
                record.refused = 0.0
            case "refused":
                record.refused = now + self._rules.aside
            case "limited":
                self._rest(record, now, error.retry_after if isinstance(error, RateLimited) else None)
            case "failed":
                self._fail(record, now)

    async def close(self) -> None:
        """There is nothing to close."""

    async def _take(self) -> Key | Rest:
        now = self._clock()
        in_favour = [one for one in self._keys.values() if self._records[one.id].refused <= now]
        able = in_favour or list(self._keys.values())
        free = [one for one in able if self._wait(one, now) <= 0]
        if not free:
            first = min(able, key=lambda one: self._wait(one, now))
            spent = all(self._records[one.id].spent(one, now) for one in able)
            return Rest(self._wait(first, now), "spent" if spent else "resting", len(able))
        chosen = min(free, key=lambda one: self._records[one.id].lent)
        self._lent += 1
        self._records[chosen.id].lent = self._lent
        self._records[chosen.id].count(now)
        return chosen

    def _wait(self, key: Key, now: float) -> float:
        record = self._records[key.id]
        return max(record.rests - now, record.spent(key, now))

    def _rest(self, record: _Record, now: float, wish: float | None) -> None:
        if wish is not None:
            record.rests = max(record.rests, now + min(wish, self._rules.longest))
        elif record.rests <= now and self.size > 1:  # else it is more of the same news
            record.limited += 1
            record.rests = now + min(self._rules.unsaid, 2.0 ** (record.limited - 1))

    def _fail(self, record: _Record, now: float) -> None:
        if now - record.erred < self._rules.apart:
            return
        record.errors, record.erred = record.errors + 1, now
        others = [other for other in self._records.values() if other is not record]
        if record.errors >= self._rules.errors and any(max(other.rests, other.refused) <= now for other in others):
            record.errors, record.rests = 0, max(record.rests, now + self._rules.cooldown)
