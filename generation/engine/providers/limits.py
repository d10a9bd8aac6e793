"""How many requests may be in flight to one server: cut when it asks for less, grown again while it copes."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from generation.engine.errors import Overloaded
from generation.engine.protocols import ChatModel, ChatRequest, Completion

T = TypeVar("T")

WINDOW = 1.0
"""Seconds in which the limit is cut once at most: a burst of refusals is one piece of news."""
ROUNDS = 16
"""About how many rounds of calls it takes to grow from one to the ceiling."""
LONGEST_PAUSE = 120.0
"""A server's wish is granted up to so many seconds; then one asks again."""


class AdaptiveLimiter:
    """A first come, first served concurrency limit that follows what the server can bear.

    The limit starts at `ceiling`, is halved when the server is overloaded and grows by a fixed step a round of calls.
    While a pause that the server asked for is in force, nobody passes. For one event loop.
    """

    def __init__(self, ceiling: int) -> None:
        self._ceiling = max(1, ceiling)
        self._limit = float(self._ceiling)
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._last_cut = self._paused_until = 0.0
        self.in_flight = 0

    @property
    def limit(self) -> int:
        """How many may be in flight now."""
        return int(self._limit)

    @property
    def ceiling(self) -> int:
        """How many may ever be in flight; can be changed at any time. A raised ceiling is grown into."""
        return self._ceiling

    @ceiling.setter
    def ceiling(self, most: int) -> None:
        whole = self._limit >= self._ceiling
        self._ceiling = max(1, most)
        self._limit = float(self._ceiling) if whole else min(self._limit, float(self._ceiling))
        self._admit()

    async def within(self, call: Callable[[], Awaitable[T]]) -> T:
        """The result of `call`, once there is room for it. What became of it moves the limit.

        Waiting out a backoff must not hold a place, so retries go around this, not into it.
        """
        await self.acquire()
        try:
            result = await call()
            self.succeeded()
            return result
        except Overloaded as error:
            self.overloaded(error.retry_after)
            raise
        finally:
            self.release()

    async def acquire(self) -> None:
        if not self._waiters and self._has_room():
            self.in_flight += 1
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():  # admitted in the same moment: hand it on
                self.release()
            raise

    def release(self) -> None:
        self.in_flight -= 1
        self._admit()

    def succeeded(self) -> None:
        """A call was answered: the limit grows a little."""
        if self._limit < self._ceiling:
            step = max(1.0, self._ceiling / ROUNDS)
            self._limit = min(float(self._ceiling), self._limit + step / self._limit)

    def overloaded(self, retry_after: float | None) -> None:
        """The server wants less: halve what is in flight, and wait `retry_after` seconds if it says so."""
        now = time.monotonic()
        if now - self._last_cut >= WINDOW:
            self._last_cut = now
            self._limit = max(1.0, min(self._limit, float(self.in_flight)) / 2)
        if retry_after:
            self._pause(now + min(retry_after, LONGEST_PAUSE))

    def _pause(self, until: float) -> None:
        if until > self._paused_until:
            self._paused_until = until
            asyncio.get_running_loop().call_later(until - time.monotonic(), self._admit)

    def _has_room(self) -> bool:
        return self.in_flight < self.limit and time.monotonic() >= self._paused_until

    def _admit(self) -> None:
        while self._waiters and self._has_room():
            waiter = self._waiters.popleft()
            if not waiter.done():
                self.in_flight += 1
                waiter.set_result(None)


class Limited:
    """A model under a limit, which others that ask the same server may share."""

    def __init__(self, model: ChatModel, limiter: AdaptiveLimiter) -> None:
        self._model = model
        self._limiter = limiter

    async def complete(self, request: ChatRequest) -> Completion:
        return await self._limiter.within(lambda: self._model.complete(request))
