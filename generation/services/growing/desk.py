"""One worker process at work on one growth: branches go out as jobs, personas come back as rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from asgiref.sync import sync_to_async

from datasets.models import Document
from generation.adapters.speaking import Switchboard
from generation.engine.calls import Calls
from generation.engine.dialog import failure
from generation.engine.personas import PersonaWriter, excerpt_of
from generation.engine.protocols import Failed, Job, Landing, PersonaSketch, Produce
from generation.engine.providers import ClientPool, RetryPolicy
from generation.engine.recipe import ModelChoice
from generation.engine.runner import Pace, Runner
from generation.models import Call, Endpoint, PersonaBranch, PersonaGrowth
from generation.services.growing import growths
from generation.services.growing.claims import claim_branches
from generation.services.growing.landing import Grown, land_personas
from generation.services.work.desk import Landed, RowDesk
from generation.services.work.pulling import Kind

SLICE = 15.0
"""Seconds for which branches are begun; then other work of the queue has its turn."""
TEMPERATURE = 0.9
PATIENT = RetryPolicy(tries=6, patience=45)
"""What waits longer is given back, and begun again later."""


async def _pull(growth: PersonaGrowth) -> None:
    desk = GrowthDesk(growth)
    try:
        async with ClientPool() as pool:
            switchboard = await sync_to_async(_switchboard)(growth, pool)
            switchboard.hear = desk.puller.hear
            choice = ModelChoice(endpoint=growth.endpoint_id or 0, model=growth.model, temperature=TEMPERATURE)
            writer = PersonaWriter(switchboard.speaker(choice, PATIENT))
            await Runner(desk, _producer(writer), Pace(slice=SLICE)).run()
    finally:
        await desk.leave()


def _switchboard(growth: PersonaGrowth, pool: ClientPool) -> Switchboard:
    endpoints = Endpoint.objects.filter(pk=growth.endpoint_id or 0).prefetch_related("keys")
    return Switchboard(endpoints, pool, growth.concurrency)


def _producer(writer: PersonaWriter) -> Produce[PersonaBranch, Grown]:
    async def produce(job: Job[PersonaBranch]) -> Grown | Failed:
        branch = job.work
        # Another attempt asks under other seeds: the same ones would bring the same reply.
        calls = Calls(branch.pk * 31 + branch.attempts)
        try:
            if branch.persona is None:
                text = await sync_to_async(_text_of)(branch)
                sketches = await writer.from_text(branch.document.title, text, calls)
            else:
                sketches = await writer.from_persona(_sketch(branch), calls)
        except Exception as error:
            return failure(error, calls)
        return Grown(sketches, calls.paid)

    return produce


class GrowthDesk(RowDesk[PersonaBranch, Grown]):
    what = "steps"

    def __init__(self, growth: PersonaGrowth) -> None:
        super().__init__(growth)
        self.growth = growth

    def take(self, limit: int) -> Iterable[tuple[PersonaBranch, PersonaBranch]]:
        for branch in claim_branches(growth_id=self.growth.pk, limit=limit):
            yield branch, branch

    def write(self, landings: Sequence[Landing[PersonaBranch, Grown]], embedded: Sequence[Call]) -> Landed:
        return land_personas(growth=self.growth, landings=landings, embedded=embedded)

    def finish(self) -> None:
        growths.finish_growth(self.growth)


def _text_of(branch: PersonaBranch) -> str:
    """As much of it as is shown: whole texts of many documents are not held at once."""
    return excerpt_of(Document.objects.values_list("text", flat=True).get(pk=branch.document_id))


def _sketch(branch: PersonaBranch) -> PersonaSketch:
    assert branch.persona is not None
    assert branch.persona.current is not None
    return PersonaSketch(name=branch.persona.name, description=branch.persona.current.description)


GROWTHS = Kind(PersonaGrowth, _pull, growths.finish_growth)
