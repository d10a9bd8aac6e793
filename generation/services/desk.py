"""The runner's desk in the database: slots go out as jobs, outcomes come back as rows.

The rows are reached through one database thread, so that the event loop never waits for a query.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from asgiref.sync import sync_to_async
from django.db.models import F

from generation.adapters.briefs import briefs_for
from generation.engine import stopping
from generation.engine.protocols import Failed, Job, Landing, Orders
from generation.engine.recipe import Recipe
from generation.frozen import Frozen
from generation.models import Run

from . import claims, pullers, runs
from .landing import land

RENEW_EVERY = claims.LEASE.total_seconds() / 3
SLICE = 60
"""Seconds after which a puller makes room, if another run has nobody who pulls it."""


class DatabaseDesk:
    """Implements `generation.engine.protocols.Desk` for one run and one worker process."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.frozen = Frozen.model_validate(run.frozen)
        self.puller = pullers.Puller(run.pk)
        self._held: dict[int, str] = {}
        self._began = self._renewed = time.monotonic()
        self._errors = stopping.ErrorWindow()

    async def claim(self, limit: int) -> Sequence[Job]:
        return await sync_to_async(self._claim)(limit)

    async def land(self, landings: Sequence[Landing]) -> None:
        await sync_to_async(self._land)(landings)

    async def orders(self) -> Orders:
        return await sync_to_async(self._orders)()

    async def release(self, jobs: Sequence[Job]) -> None:
        await sync_to_async(self._release)(jobs)

    def close(self) -> None:
        self.puller.leave()

    # -- the same, in the database thread -----------------------------------------------------------------------------

    def _claim(self, limit: int) -> list[Job]:
        slots = claims.claim_slots(run_id=self.run.pk, limit=limit)
        briefs = briefs_for(self.run, self.frozen, slots)
        jobs = [Job(slot.pk, str(slot.lease_token), brief) for slot, brief in zip(slots, briefs, strict=True)]
        self._held.update((job.slot, job.token) for job in jobs)
        return jobs

    def _land(self, landings: Sequence[Landing]) -> None:
        landed = land(run=self.run, frozen=self.frozen, landings=landings)
        for landing in landings:
            self._held.pop(landing.job.slot, None)
            self._errors.add(landing.outcome.error if isinstance(landing.outcome, Failed) else None)
        if landed.fatal:
            runs.fail_run(run=self.run, reason=landed.fatal)
        runs.finish_run(run=self.run)

    def _release(self, jobs: Sequence[Job]) -> None:
        claims.release_claims(held=[(job.slot, job.token) for job in jobs])
        for job in jobs:
            self._held.pop(job.slot, None)

    def _orders(self) -> Orders:
        self._renew()
        self.run.refresh_from_db(
            fields=["state", "spec", "prompt_tokens", "completion_tokens", "cost", "slots_done", "slots_failed"]
        )
        self._apply_rules()
        if self.run.state in (Run.State.CANCELLED, Run.State.FAILED):
            return Orders("abort", 0)
        if self.run.state != Run.State.RUNNING or self._makes_room() or pullers.is_closing():
            return Orders("drain", 0)
        return Orders("go", self._in_flight())

    def _renew(self) -> None:
        now = time.monotonic()
        if now - self._renewed > RENEW_EVERY:
            self._renewed = now
            claims.renew_claims(run_id=self.run.pk, tokens=sorted(set(self._held.values())))
