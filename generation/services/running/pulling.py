"""One worker process at work on one run."""

from __future__ import annotations

from functools import partial

from generation.adapters.making import Press, open_press
from generation.adapters.retrieving import check_retrieval
from generation.adapters.speaking import Switchboard
from generation.engine.protocols import Brief, Job, Made, Outcome, Produce
from generation.engine.recipe import Recipe
from generation.engine.runner import Runner
from generation.frozen import Frozen
from generation.models import Run
from generation.services.running import runs
from generation.services.running.desk import RunDesk
from generation.services.running.openings import RunOpenings
from generation.services.work import pullers
from generation.services.work.pulling import Kind


async def _pull(run: Run) -> None:
    spec, frozen = Recipe.model_validate(run.spec), Frozen.model_validate(run.frozen)
    desk = RunDesk(run, frozen)
    try:
        async with open_press(spec, frozen, RunOpenings(run), desk.meter) as press:
            if not run.slots_done:
                await _check_corpora(run, spec, press.switchboard)
            press.switchboard.hear, desk.on_share = desk.puller.hear, press.switchboard.set_lines
            await Runner(desk, _producer(press)).run()
    finally:
        await desk.leave()


async def _check_corpora(run: Run, spec: Recipe, switchboard: Switchboard) -> None:
    """Whether what is retrieved from can be searched: better said before the first call than after it."""
    switchboard.hear = partial(pullers.tell, run)
    for corpus in spec.searched:
        await check_retrieval(corpus, switchboard)


def _producer(press: Press) -> Produce[Brief, Made]:
    async def produce(job: Job[Brief]) -> Outcome:
        return await press.maker.make(job.work)

    return produce


RUNS = Kind(Run, _pull, runs.finish_run)
