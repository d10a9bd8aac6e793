"""The runner's desk in the database: slots go out as jobs, outcomes come back as rows.

The rows are reached through one database thread, so that the event loop never waits for a query.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from asgiref.sync import sync_to_async

from generation.adapters.briefs import briefs_for
from generation.engine.protocols import Job, Landing, Orders
from generation.engine.recipe import Recipe
from generation.engine.stopping import BudgetRule, ErrorRule
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
        self.spec = Recipe.model_validate(run.spec)
        self.frozen = Frozen.model_validate(run.frozen)
        self.puller = pullers.Puller(run.pk)
        self._held: dict[int, str] = {}
        self._began = self._renewed = time.monotonic()
        self._errors = ErrorRule()

    async def claim(self, limit: int) -> Sequence[Job]:
        return await sync_to_async(self._claim)(limit)

    async def land(self, landings: Sequence[Landing]) -> None:
        await sync_to_async(self._land)(landings)

    async def orders(self) -> Orders:
        return await sync_to_async(self._orders)()

    async def release(self, jobs: Sequence[Job]) -> None:
        await sync_to_async(self._release)(jobs)

    def _claim(self, limit: int) -> list[Job]:
        slots = claims.claim_slots(run_id=self.run.pk, limit=min(limit, self._affordable()))
        briefs = briefs_for(self.run, self.frozen, slots)
        jobs = [Job(slot.pk, str(slot.lease_token), brief) for slot, brief in zip(slots, briefs, strict=True)]
        self._held.update((job.slot, job.token) for job in jobs)
        return jobs
