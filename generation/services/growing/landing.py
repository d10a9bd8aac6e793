"""How five personas become rows: with what they cost and the branches that go on from them, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from datasets.schema import Step
from datasets.services.personas.adding import Draft, add_personas
from datasets.text import clean
from generation.engine.protocols import Failed, Landing, PersonaSketch
from generation.models import Call, PersonaBranch, PersonaGrowth
from generation.services.work.charging import call_columns, charge
from generation.services.work.desk import Landed, still_held


@dataclass(frozen=True, slots=True)
class Grown:
    """Personas that were written. `steps` are the calls for them."""

    sketches: Sequence[PersonaSketch]
    steps: Sequence[Step] = ()


@transaction.atomic
def land_personas(
    *, growth: PersonaGrowth, landings: Sequence[Landing[PersonaBranch, Grown]], embedded: Sequence[Call] = ()
) -> Landed:
    """Write the outcomes of jobs whose claim still holds; drop the others, which somebody else is making again."""
    # The growth before its branches, as whoever cancels it locks them: branches that are made here must not outlive it.
    growth = PersonaGrowth.objects.select_for_update(no_key=True).select_related("project").get(pk=growth.pk)
    kept = still_held(growth.branches.all(), landings)
    landed, personas = Landed(), 0
    for branch, outcome in kept:
        if isinstance(outcome, Failed):
            landed.note(branch, outcome)
        else:
            personas += _write_personas(growth, branch, outcome.sketches)
            branch.end(PersonaBranch.State.DONE)
            landed.made += 1
    calls = [_call(growth, step) for _, outcome in kept for step in outcome.steps]
    charge(growth, [*calls, *embedded], personas=personas)
    return landed


def _write_personas(growth: PersonaGrowth, branch: PersonaBranch, sketches: Sequence[PersonaSketch]) -> int:
    drafts = [
        Draft(
            name=clean(sketch.name),
            description=clean(sketch.description),
            document=branch.document_id,
            parent=branch.persona_id,
            depth=branch.depth,
            proposed=True,
            model=growth.model,
        )
        for sketch in sketches
    ]
    rows = add_personas(project=growth.project, drafts=drafts, author=None)
    if branch.depth < growth.depth:
        PersonaBranch.objects.bulk_create(
            PersonaBranch(growth=growth, document_id=branch.document_id, persona=row, depth=branch.depth + 1)
            for row in rows
        )
    return len(rows)


def _call(growth: PersonaGrowth, step: Step) -> Call:
    return Call(
        project_id=growth.project_id,
        endpoint_id=growth.endpoint_id,
        cost=growth.price_of(step.prompt_tokens, step.completion_tokens),
        **call_columns(step, asked=growth.model),
    )
