"""One worker process at work on one run."""

from __future__ import annotations

import asyncio
import logging

from asgiref.sync import sync_to_async
from django.db import connections
from django.db.models import Q
from django.utils import timezone

from generation.adapters.making import open_press
from generation.engine.runner import Runner
from generation.models import Run, Slot

from . import runs
from .desk import DatabaseDesk

logger = logging.getLogger(__name__)


def has_work(*, run_id: int) -> bool:
    """Whether a slot of the run can be claimed now; closes the run when all of them have ended."""
    now = timezone.now()
    free = Slot.objects.filter(run_id=run_id, state=Slot.State.PENDING).filter(
        Q(not_before=None) | Q(not_before__lte=now)
    )
    if free.exists():
        return True
    runs.finish_run(run=Run.objects.get(pk=run_id))
    return False


def pull(*, run_id: int) -> None:
    """Claim slots and make their conversations until there is nothing to claim or the run no longer runs."""
    run = Run.objects.select_related("project").filter(pk=run_id, state=Run.State.RUNNING).first()
    if run is None or not has_work(run_id=run_id):
        return
    asyncio.run(_pull(run))


async def _pull(run: Run) -> None:
    desk = DatabaseDesk(run)
    try:
        async with open_press(run) as press:
            runner = Runner(desk, press.make, throttle=press.throttle)
            await runner.run()
    finally:
        await sync_to_async(desk.close)()
        await sync_to_async(connections.close_all)()
