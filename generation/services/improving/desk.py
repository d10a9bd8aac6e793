"""One worker process at work on one improvement: conversations go out as jobs, proposals come back as rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack

from datasets.models import Judgement, Persona
from datasets.schema import Score
from generation.adapters.mending import Commission, Workshop
from generation.casts import Casts
from generation.engine.mending import Mending, mend
from generation.engine.protocols import Failed, Job, Landing, Made, Outcome, PersonaSketch, Produce, Verdict
from generation.engine.runner import Pace, Runner
from generation.models import Call, Improvement, ImprovementItem
from generation.secrets import Undecryptable
from generation.services.improving import improvements
from generation.services.improving.claims import claim_items
from generation.services.improving.landing import land_proposals
from generation.services.work.desk import Landed, RowDesk
from generation.services.work.pulling import Kind

SLICE = 20.0
"""Seconds after which a worker finishes what is in flight, so that other work of its queue has its turn."""


async def _pull(row: Improvement) -> None:
    wanted, casts = Mending.model_validate(row.spec), Casts.model_validate(row.frozen)
    desk = ImprovementDesk(row, casts)
    try:
        async with AsyncExitStack() as stack:
            workshop = Workshop(wanted, casts, stack, desk.puller.hear, desk.meter)
            await Runner(desk, _producer(workshop, wanted), Pace(slice=SLICE)).run()
    finally:
        await desk.leave()


def _producer(workshop: Workshop, wanted: Mending) -> Produce[Commission, Made]:
    async def produce(job: Job[Commission]) -> Outcome:
        try:
            maker, brief = await workshop.prepare(job.work)
        except Undecryptable as error:
            return Failed("fatal", str(error))
        return await mend(maker, brief, job.work.base, job.work.verdict, wanted)

    return produce


class ImprovementDesk(RowDesk[Commission, Made]):
    def __init__(self, improvement: Improvement, casts: Casts) -> None:
        super().__init__(improvement)
        self.improvement = improvement
        self._casts = casts

    def take(self, limit: int) -> Iterable[tuple[ImprovementItem, Commission]]:
        for item in claim_items(improvement_id=self.improvement.pk, limit=limit):
            yield item, commission_of(item)

    def write(self, landings: Sequence[Landing[Commission, Made]], embedded: Sequence[Call]) -> Landed:
        return land_proposals(improvement=self.improvement, casts=self._casts, landings=landings, embedded=embedded)

    def note(self, outcome: Outcome) -> None:
        if not _is_nobodys_fault(outcome):
            super().note(outcome)

    def finish(self) -> None:
        improvements.finish_improvement(self.improvement)


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


IMPROVEMENTS = Kind(Improvement, _pull, improvements.finish_improvement)
