"""The runner's desk in the database: rows go out as jobs under leases, outcomes come back as rows.

The rows are reached through one database thread, so that the event loop never waits for a query.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from asgiref.sync import sync_to_async
from django.core.exceptions import ObjectDoesNotExist
from django.db import InterfaceError, OperationalError, connections, transaction

from generation.adapters.metering import Meter, Metered, lines
from generation.engine import stopping
from generation.engine.protocols import Failed, Job, Landing, Orders, Product, Work
from generation.models import Call
from generation.models.work import LEASE, Costed, Leased, LeasedQuerySet, Piece
from generation.services.work import orders, pullers
from generation.services.work.charging import charge

log = logging.getLogger(__name__)
Result = TypeVar("Result")
RENEW_EVERY = LEASE.total_seconds() / 3


@dataclass(slots=True)
class Landed:
    """What a landing changed. `fatal` is the message of an error that only a person can mend."""

    made: int = 0
    failed: int = 0
    fatal: str = ""

    def note(self, piece: Leased, failed: Failed) -> None:
        """Have the piece say what went wrong, and count it."""
        if piece.fail(failed):
            self.failed += 1
        elif failed.kind == "fatal":
            self.fatal = piece.error


def still_held(
    pieces: LeasedQuerySet[Piece], landings: Sequence[Landing[Any, Product]]
) -> list[tuple[Piece, Product | Failed]]:
    """The pieces whose claim holds, locked, with what came of them; what somebody else is making again is left out."""
    held = pieces.still_held((landing.job.key, landing.job.token) for landing in landings)
    return [(held[landing.job.key], landing.outcome) for landing in landings if landing.job.key in held]


class RowDesk(ABC, Generic[Work, Product]):
    """A `generation.engine.protocols.Desk` for one order of work, such as a run, and one worker process."""

    counters: Sequence[str] = ("state",)
    """What is read of the order before each look at it."""
    what = "conversations"
    """In words, what fails."""

    def __init__(self, order: Costed) -> None:
        self._order = order
        self.meter = Meter()
        """What is asked of embedding models, for whichever jobs."""
        self.puller = pullers.Puller(order)
        self.share = 1
        """Of the concurrency, what falls to this worker."""
        self._held: dict[int, str] = {}
        self._renewed = time.monotonic()
        self._failures = stopping.FailureRules(what=self.what)
        self._outcomes: deque[str | None] = deque(maxlen=self._failures.window)

    # -- what each kind of work does by itself, in the database thread ------------------------------------------------

    @abstractmethod
    def take(self, limit: int) -> Iterable[tuple[Leased, Work]]:
        """Claim pieces, each with what there is to do."""

    @abstractmethod
    def write(self, landings: Sequence[Landing[Work, Product]], embedded: Sequence[Call]) -> Landed:
        """Commit outcomes of claims that still hold, all or none, and charge for them and for what was `embedded`."""

    @abstractmethod
    def finish(self) -> None:
        """Close the order if all of its pieces have ended."""

    def lines(self, metered: Sequence[Metered]) -> list[Call]:
        """What was embedded, as unsaved lines of the ledger."""
        return lines(metered, project=self._order.project_id)

    def stop_if_due(self) -> None:
        """Too many failures end the order."""
        if reason := self._failures.reason(self._outcomes):
            self._outcomes.clear()  # whoever resumes it at once starts the count anew
            orders.fail(self._order, reason)

    def in_flight(self, share: int) -> int:
        """How many of its `share` this worker may have in flight now."""
        return share

    # -- the desk -----------------------------------------------------------------------------------------------------

    async def claim(self, limit: int) -> Sequence[Job[Work]]:
        return await self._in_thread(self._claim, limit)

    async def land(self, landings: Sequence[Landing[Work, Product]]) -> None:
        await self._in_thread(self._land, landings)

    async def orders(self) -> Orders:
        return await self._in_thread(self._orders)

    async def release(self, jobs: Sequence[Job[Work]]) -> None:
        await self._in_thread(self._release, jobs)

    async def leave(self) -> None:
        """This worker is no longer at it."""
        await sync_to_async(self._leave)()

    @staticmethod
    async def _in_thread(work: Callable[..., Result], *given: object) -> Result:
        """A connection that broke is thrown away, so that the runner's next try gets another."""
        try:
            return await sync_to_async(work)(*given)
        except (OperationalError, InterfaceError):
            await sync_to_async(connections.close_all)()
            raise

    # -- the same, in the database thread -----------------------------------------------------------------------------

    def _claim(self, limit: int) -> list[Job[Work]]:
        jobs = [Job(piece.pk, str(piece.lease_token), work) for piece, work in self.take(limit)]
        self._held.update((job.key, job.token) for job in jobs)
        return jobs

    def _land(self, landings: Sequence[Landing[Work, Product]]) -> None:
        metered = self.meter.read()
        landed = self.write(landings, self.lines(metered))
        self.meter.settle(metered)
        self._forget([landing.job for landing in landings])
        self._rest(landings)
        for landing in landings:
            self.note(landing.outcome)
        if landed.fatal:
            orders.fail(self._order, landed.fatal)
        if landed.made or landed.failed:
            self.finish()

    def note(self, outcome: Product | Failed) -> None:
        """One more outcome for the rules about failures, unless it only lacked calls: that is no failure of the job's."""
        if not isinstance(outcome, Failed):
            self.count(None)
        elif outcome.retry_after is None:
            self.count(outcome.error)

    def count(self, error: str | None) -> None:
        """A job has ended, with an error or without."""
        self._outcomes.append(error)

    def _rest(self, landings: Sequence[Landing[Work, Product]]) -> None:
        """Where the keys have no calls left, nothing begins until they have."""
        failed = [landing.outcome for landing in landings if isinstance(landing.outcome, Failed)]
        waits = [(one.retry_after, one.error) for one in failed if one.retry_after is not None]
        if waits:
            pullers.rest(self._order, *max(waits))

    def _release(self, jobs: Sequence[Job[Work]]) -> None:
        self._order.pieces.release([(job.key, job.token) for job in jobs])
        self._forget(jobs)

    def _leave(self) -> None:
        self.puller.leave()
        self._settle(self.meter.read())

    @transaction.atomic
    def _settle(self, metered: Sequence[Metered]) -> None:
        """Write what was embedded and came with no landing, unless the order has been deleted."""
        orders = type(self._order)._default_manager.filter(pk=self._order.pk)
        if metered and orders.select_for_update(no_key=True).exists():
            charge(self._order, self.lines(metered))

    def _forget(self, jobs: Iterable[Job[Work]]) -> None:
        for job in jobs:
            self._held.pop(job.key, None)

    def _orders(self) -> Orders:
        self._renew()
        try:
            self._order.refresh_from_db(fields=list(self.counters))
        except ObjectDoesNotExist:  # deleted with its project
            return Orders("abort", 0)
        self.share = self.puller.share(self._order.concurrency)
        self.stop_if_due()
        if self._order.is_ended or pullers.is_closing():
            return Orders("abort", 0)
        if not self._order.is_active or pullers.rests(self._order):
            return Orders("drain", 0)
        return Orders("go", self.in_flight(self.share))

    def _renew(self) -> None:
        now = time.monotonic()
        if now - self._renewed > RENEW_EVERY:
            self._renewed = now
            self._order.pieces.renew(self._held.items())
