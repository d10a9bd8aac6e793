"""One worker process at work on one improvement: conversations go out as jobs, proposals come back as rows."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, connections
from django.db.models import Q
from django.utils import timezone
from redis import RedisError

from datasets.models import Judgement, Persona
from datasets.schema import Score
from generation.adapters.mending import Commission, Workshop
from generation.adapters.metering import Meter
from generation.casts import Casts
from generation.engine import stopping
from generation.engine.errors import FatalError
from generation.engine.mending import Mending, mend
from generation.engine.protocols import Brief, Failed, Job, Landing, Orders, Outcome, PersonaSketch, Produce, Verdict
from generation.engine.runner import Pace, Runner
from generation.models import Improvement, ImprovementItem
from generation.secrets import Undecryptable

from . import improvement_claims as claims
from . import improvements, pullers
from .claims import LEASE
from .improvement_landing import land_metered, land_proposals

log = logging.getLogger(__name__)
Result = TypeVar("Result")
RENEW_EVERY = LEASE.total_seconds() / 3
SLICE = 20.0
"""Seconds after which a worker finishes what is in flight, so that other work of its queue has its turn."""


def _puller_name(improvement_id: int) -> str:
    return f"improvement-{improvement_id}"


def is_attended(improvement_id: int) -> bool:
    """Whether a worker is at it now."""
    return pullers.pullers_of(_puller_name(improvement_id)) > 0


def trouble_of(improvement_id: int) -> str:
    """What a worker has just been refused and tries again; empty when all goes well."""
    return pullers.trouble_of(_puller_name(improvement_id))


def has_work(*, improvement_id: int) -> bool:
    """Whether an item can be claimed now; closes the improvement when all of them have ended."""
    now = timezone.now()
    open_now = Q(not_before=None) | Q(not_before__lte=now)
    waiting = ImprovementItem.objects.filter(open_now, improvement=improvement_id, state=claims.State.PENDING)
    if waiting.exists():
        return True
    improvements.finish_improvement(improvement=Improvement.objects.get(pk=improvement_id))
    return False


def pull(*, improvement_id: int) -> None:
    """Claim conversations and have them improved until there is nothing to claim or the improvement has ended."""
    row = Improvement.objects.filter(pk=improvement_id, state=Improvement.State.RUNNING).first()
    if row is None or not has_work(improvement_id=improvement_id):
        return
    try:
        asyncio.run(_pull(row))
    except (Undecryptable, FatalError) as error:
        improvements.fail_improvement(improvement=row, reason=str(error))
    except (OperationalError, InterfaceError, RedisError):
        raise  # it comes back by itself, and with it the next tick
    except Exception as error:
        log.exception("Improvement %s could not be worked on.", improvement_id)
        reason = f"The work on this improvement broke off ({type(error).__name__}: {error})."
        improvements.fail_improvement(improvement=row, reason=reason)


async def _pull(row: Improvement) -> None:
    wanted, casts = Mending.model_validate(row.spec), Casts.model_validate(row.frozen)
    desk = ImprovementDesk(row, wanted, casts)
    try:
        async with AsyncExitStack() as stack:
            workshop = Workshop(wanted, casts, stack, desk.puller.hear, desk.meter)
            await Runner(desk, _producer(desk, workshop, wanted), Pace(slice=SLICE)).run()
    finally:
        await sync_to_async(desk.puller.leave)()
        try:
            await sync_to_async(land_metered)(improvement=row, metered=desk.meter.read())
        finally:
            await sync_to_async(connections.close_all)()


def _producer(desk: ImprovementDesk, workshop: Workshop, wanted: Mending) -> Produce:
    async def produce(job: Job) -> Outcome:
        work = desk.commissions[job.slot]
        try:
            maker, brief = await workshop.prepare(work)
        except Undecryptable as error:
            return Failed("fatal", str(error))
        return await mend(maker, brief, work.base, work.verdict, wanted)

    return produce


class ImprovementDesk:
    """Implements `generation.engine.protocols.Desk` for one improvement and one worker process."""

    def __init__(self, improvement: Improvement, wanted: Mending, casts: Casts) -> None:
        self.improvement = improvement
        self.commissions: dict[int, Commission] = {}
        self.puller = pullers.Puller(_puller_name(improvement.pk))
        self.meter = Meter()
        self._wanted, self._casts = wanted, casts
        self._held: dict[int, str] = {}
        self._renewed = time.monotonic()
        self._failures = stopping.FailureRules()
        self._outcomes: deque[str | None] = deque(maxlen=self._failures.window)

    async def claim(self, limit: int) -> Sequence[Job]:
        return await self._in_thread(self._claim, limit)

    async def land(self, landings: Sequence[Landing]) -> None:
        await self._in_thread(self._land, landings)

    async def orders(self) -> Orders:
        return await self._in_thread(self._orders)

    async def release(self, jobs: Sequence[Job]) -> None:
        await self._in_thread(self._release, jobs)

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
        items = claims.claim_items(improvement_id=self.improvement.pk, limit=limit)
        jobs = []
        for item in items:
            self.commissions[item.pk] = commission_of(item)
            self._held[item.pk] = str(item.lease_token)
            jobs.append(Job(item.pk, str(item.lease_token), Brief(seed=item.pk, turns=item.conversation.turns)))
        return jobs

    def _land(self, landings: Sequence[Landing]) -> None:
        metered = self.meter.read()
        landed = land_proposals(improvement=self.improvement, casts=self._casts, landings=landings, metered=metered)
        self.meter.settle(metered)
        for landing in landings:
            if not _is_nobodys_fault(landing.outcome):
                self._outcomes.append(landing.outcome.error if isinstance(landing.outcome, Failed) else None)
        self._forget([landing.job for landing in landings])
        if landed.fatal:
            improvements.fail_improvement(improvement=self.improvement, reason=landed.fatal)
        if landed.made or landed.failed:
            improvements.finish_improvement(improvement=self.improvement)

    def _release(self, jobs: Sequence[Job]) -> None:
        claims.release_claims(held=[(job.slot, job.token) for job in jobs])
        self._forget(jobs)

    def _forget(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._held.pop(job.slot, None)
            self.commissions.pop(job.slot, None)

    def _orders(self) -> Orders:
        self._renew()
        try:
            self.improvement.refresh_from_db(fields=["state"])
        except Improvement.DoesNotExist:  # deleted with its project
            return Orders("abort", 0)
        share = self.puller.share(self._wanted.concurrency)
        if reason := self._failures.reason(self._outcomes):
            self._outcomes.clear()
            improvements.fail_improvement(improvement=self.improvement, reason=reason)
        if self.improvement.state in (Improvement.State.CANCELLED, Improvement.State.FAILED) or pullers.is_closing():
            return Orders("abort", 0)
        return Orders("go", share) if self.improvement.is_active else Orders("drain", 0)

    def _renew(self) -> None:
        now = time.monotonic()
        if now - self._renewed > RENEW_EVERY:
            self._renewed = now
            claims.renew_claims(improvement_id=self.improvement.pk, tokens=sorted(set(self._held.values())))


def _is_nobodys_fault(outcome: Outcome) -> bool:
    """Whether no model was asked, because there is nothing to mend by: any number of these in a row means nothing."""
    return isinstance(outcome, Failed) and outcome.kind == "dialog" and not outcome.steps


def commission_of(item: ImprovementItem) -> Commission:
    return Commission(
        batch=item.conversation.batch_id,
        base=item.base.dialog,
        verdict=latest_verdict(list(item.base.judgements.all())),
        persona=_sketch(item.conversation.persona, item.base.persona),
        seed=item.pk,
    )


def latest_verdict(judgements: Sequence[Judgement]) -> Verdict | None:
    """The last judgement that was given; one that failed is none."""
    row = next((row for row in reversed(judgements) if row.overall is not None), None)
    if row is None:
        return None
    scores = tuple(Score.model_validate(score) for score in row.scores)
    return Verdict(row.evaluator, row.model, scores, row.overall, row.feedback, first_bad=row.first_bad)


def _sketch(persona: Persona | None, told: str) -> PersonaSketch | None:
    """Who the user is: a persona of the project as it stands now, or what the version says of them."""
    if persona and persona.current:
        return PersonaSketch(persona.name, persona.current.in_words)
    return PersonaSketch("", told) if told else None
