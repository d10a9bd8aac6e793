"""Many jobs, such as dialogs: keeps as many in flight as its desk orders, and lands each outcome soon after it is there.

One loop decides; all else tells it that there is news. Dialogs, claims, landings and orders run beside each other, so
that none waits for another: the next dialog starts from a small stock of claimed jobs as soon as one ends, and what ends
while a group of outcomes is being committed makes up the next group.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .dialog import failure
from .protocols import Desk, Failed, Job, Landing, Orders, Produce, Product, Tally, Work

log = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Pace:
    """Rhythm of a runner, in seconds."""

    slice: float | None = None
    """How long dialogs are started before the runner finishes what is in flight and ends; None is without end."""
    orders: float = 0.5
    """Between two looks at the desk's orders, unless something fails."""
    landing: float = 0.1
    """At least this from the start of one landing to the next, so that outcomes gather when there are many."""
    patience: tuple[float, ...] = (0.1, 0.5, 2.0)
    """Pauses after failures of the desk before each further try; then the error ends the runner."""


class Runner(Generic[Work, Product]):
    """Runs the jobs of `desk` through `produce` until there are none, or its orders, its time or an error end it.

    Whatever the end, `run` leaves nothing behind: every outcome has been landed or its landing has raised, every job
    without an outcome has been released, no task is left running. A runner runs once.
    """

    def __init__(self, desk: Desk[Work, Product], produce: Produce[Work, Product], pace: Pace | None = None) -> None:
        self._desk = desk
        self._produce = produce
        self._pace = pace or Pace()
        self._ends: float | None = None
        self._news = asyncio.Event()
        self._doubt = asyncio.Event()
        """Something failed, so that there may be a reason to stop."""
        self._orders = Orders()
        self._stock: deque[Job[Work]] = deque()
        self._dialogs: dict[asyncio.Task[Product | Failed], Job[Work]] = {}
        self._dropped: list[Job[Work]] = []
        self._outbox = _Outbox(self._land, self._pace.landing, self._spawn)
        self._claim: asyncio.Task[None] | None = None
        self._dry_since = -1
        self._fatal = ""
        self._error: BaseException | None = None

    async def run(self) -> Tally:
        """Raises what the desk raised when its patience is at an end. May be cancelled at any time."""
        if self._pace.slice is not None:
            self._ends = asyncio.get_running_loop().time() + self._pace.slice
        self._orders = await self._insist(self._desk.orders)
        watch = self._spawn(self._watch_orders())
        try:
            await self._work()
        finally:
            try:
                await self._clear_up()
            finally:
                watch.cancel()
                await asyncio.wait([watch])
        self._outbox.tally.fatal = self._fatal
        return self._outbox.tally

    # -- the loop that decides ----------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while not self._fatal and self._orders.state != "abort":
            self._news.clear()
            if self._error:
                raise self._error
            self._start_dialogs()
            self._refill()
            if self._is_idle:
                return
            await self._news.wait()

    @property
    def _is_open(self) -> bool:
        """Whether dialogs may be started now."""
        in_time = self._ends is None or asyncio.get_running_loop().time() < self._ends
        return in_time and self._orders.state == "go" and self._orders.in_flight > 0

    @property
    def _is_dry(self) -> bool:
        """Whether a claim came back empty, and nothing has landed since that may have put a slot back."""
        return self._dry_since == self._outbox.landed

    @property
    def _is_idle(self) -> bool:
        if self._dialogs or self._claim or self._outbox.size:
            return False
        return not self._is_open or (self._is_dry and not self._stock)

    def _start_dialogs(self) -> None:
        """Fills the line; holds back only when far more outcomes wait to be landed than there are dialogs."""
        if not self._is_open:
            return
        most = self._orders.in_flight
        while self._stock and len(self._dialogs) < most and self._outbox.size < 2 * most + 8:
            job = self._stock.popleft()
            dialog = asyncio.create_task(self._make(job))
            self._dialogs[dialog] = job
            dialog.add_done_callback(self._on_ended)

    def _refill(self) -> None:
        """Claims what the line lacks and a quarter more, so that a dialog's end need not wait for a claim."""
        ahead = self._orders.in_flight // 4
        if self._claim or not self._is_open or self._is_dry or len(self._stock) > ahead // 2:
            return
        lacking = self._orders.in_flight + ahead - len(self._dialogs) - len(self._stock)
        if lacking > 0:
            self._claim = self._spawn(self._claim_jobs(lacking))

    # -- what runs beside it ------------------------------------------------------------------------------------------

    async def _make(self, job: Job[Work]) -> Product | Failed:
        """One dialog. An error that gets this far fails its slot only."""
        try:
            return await self._produce(job)
        except Exception as error:
            return failure(error)

    def _on_ended(self, dialog: asyncio.Task[Product | Failed]) -> None:
        job = self._dialogs.pop(dialog)
        self._news.set()
        if dialog.cancelled() and dialog.cancelling():
            self._dropped.append(job)
            return
        outcome = Failed("dialog", "It was cancelled from within.") if dialog.cancelled() else dialog.result()
        if isinstance(outcome, Failed) and outcome.kind == "fatal":
            self._fatal = self._fatal or outcome.error
        self._outbox.put(Landing(job, outcome))

    async def _claim_jobs(self, limit: int) -> None:
        landed = self._outbox.landed
        try:
            jobs = await self._insist(lambda: self._desk.claim(limit))
        finally:
            self._claim = None
        self._stock.extend(jobs)
        self._dry_since = -1 if jobs else landed

    async def _land(self, landings: Sequence[Landing[Work, Product]]) -> None:
        await self._insist(lambda: self._desk.land(landings))
        if any(isinstance(landing.outcome, Failed) for landing in landings):
            self._doubt.set()

    async def _watch_orders(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.orders):
                    await self._doubt.wait()
            self._doubt.clear()
            self._orders = await self._insist(self._desk.orders)
            self._dry_since = -1
            self._news.set()

    async def _insist(self, act: Callable[[], Awaitable[Result]]) -> Result:
        """Tries again what failed for a moment, as a database that restarts does."""
        for pause in self._pace.patience:
            try:
                return await act()
            except Exception as error:
                log.warning("The desk failed, another try in %s s: %s: %s", pause, type(error).__name__, error)
                await asyncio.sleep(pause)
        return await act()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._error = self._error or task.exception()
        self._news.set()

    # -- the end ------------------------------------------------------------------------------------------------------

    async def _clear_up(self) -> None:
        """Cancels what is in flight, lands what has ended, and gives all other jobs back."""
        dialogs = list(self._dialogs)
        for dialog in dialogs:
            dialog.cancel()
        if dialogs:
            await asyncio.wait(dialogs)
        if self._claim:
            await asyncio.wait([self._claim])
        try:
            await self._outbox.emptied()
        finally:
            if jobs := [*self._dropped, *self._stock]:
                await self._insist(lambda: self._desk.release(jobs))


class _Outbox(Generic[Work, Product]):
    """Outcomes on their way to the desk, one group at a time."""

    def __init__(
        self,
        land: Callable[[Sequence[Landing[Work, Product]]], Awaitable[None]],
        pause: float,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self.tally = Tally()
        self.landed = 0
        self._land = land
        self._pause = pause
        self._spawn = spawn
        self._waiting: list[Landing[Work, Product]] = []
        self._landing: list[Landing[Work, Product]] = []
        self._task: asyncio.Task[None] | None = None
        self._next = 0.0

    @property
    def size(self) -> int:
        """Outcomes that are not committed yet."""
        return len(self._waiting) + len(self._landing)

    def put(self, landing: Landing[Work, Product]) -> None:
        self._waiting.append(landing)
        if not self._task:
            self._task = self._spawn(self._empty())

    async def emptied(self) -> None:
        """Returns when all is committed; raises what kept a group from it."""
        if self._task:
            await asyncio.wait([self._task])
        if self.size:
            keys = sorted(landing.job.key for landing in [*self._landing, *self._waiting])
            log.error("%s outcomes could not be committed, of jobs %s", self.size, keys)
        if self._task:
            self._task.result()

    async def _empty(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._waiting:
            await asyncio.sleep(max(0.0, self._next - clock()))
            self._next = clock() + self._pause
            self._landing, self._waiting = self._waiting, []
            await self._land(self._landing)
            self._count(self._landing)
            self._landing = []
        self._task = None

    def _count(self, group: Sequence[Landing[Work, Product]]) -> None:
        self.landed += len(group)
        for outcome in (landing.outcome for landing in group):
            if isinstance(outcome, Failed):
                self.tally.failed += 1
                self.tally.errors[outcome.error] = self.tally.errors.get(outcome.error, 0) + 1
            else:
                self.tally.made += 1
