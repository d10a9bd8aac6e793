"""One worker process at work on one run."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, connections
from django.db.models import Q
from django.utils import timezone
from redis import RedisError

from generation.adapters.making import Press, open_press
from generation.adapters.metering import Meter
from generation.adapters.retrieving import check_retrieval
from generation.adapters.speaking import Switchboard
from generation.engine.errors import FatalError, OutOfCalls, TransientError
from generation.engine.protocols import Job, Outcome
from generation.engine.recipe import Recipe
from generation.engine.runner import Runner
from generation.frozen import Frozen
from generation.models import Run, Slot
from generation.secrets import Undecryptable

from . import pullers, runs
from .desk import DatabaseDesk
from .landing import land_metered
from .openings import RunOpenings

log = logging.getLogger(__name__)


def has_work(*, run_id: int) -> bool:
    """Whether a slot of the run can be claimed now; closes the run when all of them have ended."""
    now = timezone.now()
    open_now = Q(not_before=None) | Q(not_before__lte=now)
    if Slot.objects.filter(open_now, run_id=run_id, state=Slot.State.PENDING).exists():
        return not pullers.rests(run_id)
    runs.finish_run(run=Run.objects.get(pk=run_id))
    return False


def pull(*, run_id: int) -> None:
    """Claim slots and make their conversations until there is nothing to claim or the run no longer runs."""
    run = Run.objects.select_related("project").filter(pk=run_id, state=Run.State.RUNNING).first()
    if run is None or not has_work(run_id=run_id):
        return
    try:
        asyncio.run(_pull(run))
    except OutOfCalls as error:
        pullers.rest(run.pk, error.retry_after, str(error))
    except (Undecryptable, FatalError) as error:
        runs.fail_run(run=run, reason=str(error))
    except TransientError as error:
        pullers.tell(run.pk, str(error))  # the next tick tries again
    except (OperationalError, InterfaceError, RedisError):
        raise  # it comes back by itself, and with it the next tick
    except Exception as error:
        log.exception("Run %s could not be worked on.", run_id)
        runs.fail_run(run=run, reason=f"The work on this run broke off ({type(error).__name__}: {error}).")


async def _pull(run: Run) -> None:
    spec, frozen, meter = Recipe.model_validate(run.spec), Frozen.model_validate(run.frozen), Meter()
    desk: DatabaseDesk | None = None
    try:
        async with open_press(spec, frozen, RunOpenings(run), meter) as press:
            if not run.slots_done:
                await _check_corpora(run, spec, press.switchboard)
            desk = DatabaseDesk(run, frozen, meter, on_share=press.switchboard.set_lines)
            press.switchboard.hear = desk.puller.hear
            await Runner(desk, _producer(press)).run()
    finally:
        if desk:
            await sync_to_async(desk.close)()
        try:
            await sync_to_async(land_metered)(run=run, frozen=frozen, metered=meter.read())
        finally:
            await sync_to_async(connections.close_all)()


async def _check_corpora(run: Run, spec: Recipe, switchboard: Switchboard) -> None:
    """Whether what is retrieved from can be searched: better said before the first call than after it."""
    switchboard.hear = partial(pullers.tell, run.pk)
    for corpus in spec.searched:
        await check_retrieval(corpus, switchboard)


def _producer(press: Press):
    async def produce(job: Job) -> Outcome:
        return await press.maker.make(job.brief)

    return produce
