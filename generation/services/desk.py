"""The runner's desk in the database: slots go out as jobs, outcomes come back as rows.

The rows are reached through one database thread, so that the event loop never waits for a query.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, connections

from generation.adapters.briefs import briefs_for
from generation.adapters.metering import Meter
from generation.engine import stopping
from generation.engine.protocols import Failed, Job, Landing, Orders
from generation.engine.recipe import Budget, Recipe
from generation.frozen import Frozen
from generation.models import Run, Slot

from . import claims, pullers, runs
from .landing import land
from .stopping import StoppingFacts

Result = TypeVar("Result")
RENEW_EVERY = claims.LEASE.total_seconds() / 3
COUNTERS = ["state", "spec", "prompt_tokens", "completion_tokens", "cost", "slots_done", "slots_failed"]
SLICE = 60
"""Seconds after which a puller makes room, if another run has nobody who pulls it."""


class DatabaseDesk:
    """Implements `generation.engine.protocols.Desk` for one run and one worker process."""

    def __init__(self, run: Run, frozen: Frozen, meter: Meter, on_share: Callable[[int], None]) -> None:
        """`on_share` is told, before each look at the orders is answered, how many calls may be in flight here; what is in
        `meter` is landed with the dialogs."""
        self.run = run
        self.frozen = frozen
        self._meter = meter
        self._on_share = on_share
        self.puller = pullers.Puller(run.pk)
        self._share = 1
        self._held: dict[int, str] = {}
        self._began = self._renewed = time.monotonic()
        self._failures = stopping.FailureRules()
        self._outcomes: deque[str | None] = deque(maxlen=self._failures.window)
        self._spec = Recipe.model_validate(run.spec)
        self._rules = StoppingFacts(run, self._spec)

    async def claim(self, limit: int) -> Sequence[Job]:
        return await self._in_thread(self._claim, limit)

    async def land(self, landings: Sequence[Landing]) -> None:
        await self._in_thread(self._land, landings)

    async def orders(self) -> Orders:
        orders = await self._in_thread(self._orders)
        self._on_share(self._share)
        return orders

    async def release(self, jobs: Sequence[Job]) -> None:
        await self._in_thread(self._release, jobs)

    def close(self) -> None:
        self.puller.leave()

    @staticmethod
    async def _in_thread(work: Callable[..., Result], *given: object) -> Result:
        """A connection that broke is thrown away, so that the runner's next try gets another."""
        try:
            return await sync_to_async(work)(*given)
        except (OperationalError, InterfaceError):
            await sync_to_async(connections.close_all)()
            raise

    # -- the same, in the database thread -----------------------------------------------------------------------------

    def _claim(self, limit: int) -> list[Job]:
        slots = claims.claim_slots(run_id=self.run.pk, limit=limit)
        briefs = briefs_for(self.run, self._spec, self.frozen, slots)
        jobs = [Job(slot.pk, str(slot.lease_token), brief) for slot, brief in zip(slots, briefs, strict=True)]
        self._held.update((job.slot, job.token) for job in jobs)
        return jobs

    def _land(self, landings: Sequence[Landing]) -> None:
        metered = self._meter.read()
        landed = land(run=self.run, frozen=self.frozen, landings=landings, metered=metered)
        self._meter.settle(metered)
        self._rest(landings)
        for landing in landings:
            self._held.pop(landing.job.slot, None)
            if isinstance(landing.outcome, Failed) and landing.outcome.retry_after is not None:
                continue  # no failure of the conversation's
            self._outcomes.append(landing.outcome.error if isinstance(landing.outcome, Failed) else None)
            self._rules.note(failed=isinstance(landing.outcome, Failed))
        if landed.fatal:
            runs.fail_run(run=self.run, reason=landed.fatal)
        if landed.made or landed.failed:
            runs.finish_run(run=self.run)

    def _rest(self, landings: Sequence[Landing]) -> None:
        """Where the keys have no calls left, nothing begins until they have."""
        waits = [landing.outcome for landing in landings if isinstance(landing.outcome, Failed)]
        times = [(failed.retry_after, failed.error) for failed in waits if failed.retry_after is not None]
        if times:
            pullers.rest(self.run.pk, *max(times))

    def _release(self, jobs: Sequence[Job]) -> None:
        claims.release_claims(held=[(job.slot, job.token) for job in jobs])
        for job in jobs:
            self._held.pop(job.slot, None)

    def _orders(self) -> Orders:
        self._renew()
        try:
            self.run.refresh_from_db(fields=COUNTERS)
        except Run.DoesNotExist:  # deleted with its project
            return Orders("abort", 0)
        self._share = self.puller.share(self.run.spec["concurrency"])
        self._stop_if_due()
        if self.run.state in (Run.State.CANCELLED, Run.State.FAILED) or pullers.is_closing():
            return Orders("abort", 0)
        if self.run.state != Run.State.RUNNING or pullers.rests(self.run.pk) or self._makes_room():
            return Orders("drain", 0)
        return Orders("go", self._affordable(self._share))

    def _stop_if_due(self) -> None:
        reason = stopping.budget_reached(self._budget, self._spent) or self._failures.reason(self._outcomes)
        reason = reason or self._rules.reason(self.run)
        if reason is None and not self._held and self._affordable(1) == 0:
            reason = "What is left of the budget does not pay for one more conversation."
        if reason:
            runs.stop_run(run=self.run, reason=reason)
            self._rules.clear()
            self._outcomes.clear()  # whoever resumes the run at once starts the count anew

    def _affordable(self, most: int) -> int:
        """How many dialogs may be in flight here: what concurrency allows, or what is left of the budget pays for."""
        budget = self._budget
        if budget == Budget():
            return most
        # Those of other workers spend of the same budget.
        running = self.run.slots.filter(state=Slot.State.RUNNING).count()
        more = stopping.affordable(budget, self._spent, running, self._mean)
        return most if more is None else min(most, len(self._held) + more)

    @property
    def _mean(self) -> stopping.Spent:
        """Of a conversation: as they turned out so far, or as reckoned before any has."""
        if ended := self.run.slots_done + self.run.slots_failed:
            return stopping.Spent(self.run.tokens / ended, self.run.cost / ended)
        return stopping.Spent(self.frozen.expected.tokens, self.frozen.expected.money)

    @property
    def _budget(self) -> Budget:
        return Budget.model_validate(self.run.spec["budget"])

    @property
    def _spent(self) -> stopping.Spent:
        return stopping.Spent(self.run.tokens, self.run.cost)

    def _makes_room(self) -> bool:
        """After its slice, a puller gives way to a run that nobody pulls."""
        if time.monotonic() - self._began < SLICE:
            return False
        others = Run.objects.filter(state=Run.State.RUNNING).exclude(pk=self.run.pk).values_list("pk", flat=True)
        return any(pullers.pullers_of(pk) == 0 for pk in others)

    def _renew(self) -> None:
        now = time.monotonic()
        if now - self._renewed > RENEW_EVERY:
            self._renewed = now
            claims.renew_claims(run_id=self.run.pk, tokens=sorted(set(self._held.values())))
