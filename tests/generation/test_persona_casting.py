"""Which personas ask in a run: those of the documents that it asks about."""

from __future__ import annotations

import pytest

from datasets.models import Document, Passage, Persona, Project, User
from datasets.services.personas.adding import Draft, add_personas
from datasets.services.personas.saving import save_persona
from generation.adapters.briefs import briefs_for
from generation.engine.protocols import PersonaSketch
from generation.engine.recipe import Recipe
from generation.frozen import Frozen
from tests.generation.growing import documents
from tests.generation.runs import launched

pytestmark = pytest.mark.django_db


def cut(document: Document, count: int) -> None:
    Passage.objects.bulk_create(
        Passage(corpus=document.corpus, document=document, index=n, text="x", start=n, end=n + 1) for n in range(count)
    )


def people(project: Project, document: Document, *names: str, depth: int = 0, **more: bool) -> list[Persona]:
    drafts = [Draft(name, f"About {name}.", document=document.pk, depth=depth, **more) for name in names]
    return add_personas(project=project, drafts=drafts, author=None)


def test_a_run_is_cast_with_the_accepted_people_of_its_documents_and_else_with_those_of_its_recipe(
    project: Project, owner: User
) -> None:
    corpus = documents(project, "Gauge", "Mast", "Battery")
    gauge, mast, battery = corpus.documents.order_by("pk")
    for document in (gauge, mast, battery):
        cut(document, 2)
    own = people(project, gauge, "G1", "G2") + people(project, gauge, "G3", depth=1)
    people(project, gauge, "Proposed", proposed=True)
    people(project, mast, "Archived", archived=True)
    people(project, documents(project, "Other").documents.get(), "Elsewhere")
    nurse = save_persona(project=project, name="Nurse", description="x", features={}, author=owner)

    run = launched(project, corpus=corpus.pk, personas=[nurse.pk], grown_personas=True, conversations=9)

    about = dict(Passage.objects.filter(corpus=corpus).values_list("pk", "document"))
    slots = list(run.slots.all())
    assert {slot.persona_id for slot in slots if about[slot.context[0]] == gauge.pk} == {one.pk for one in own}
    assert {slot.persona_id for slot in slots if about[slot.context[0]] != gauge.pk} == {nurse.pk}


def test_a_run_that_does_not_ask_for_them_leaves_them_out(project: Project, owner: User) -> None:
    corpus = documents(project, "Gauge")
    cut(corpus.documents.get(), 2)
    people(project, corpus.documents.get(), "G1")
    run = launched(project, corpus=corpus.pk, grown_personas=False, conversations=4)
    assert set(run.slots.values_list("persona", flat=True)) == {None}


def test_how_a_persona_is_played_is_said_to_the_model(project: Project, owner: User) -> None:
    said = {"description": "Retired.", "features": {"age_band": "60"}, "system_prompt": "Be curt."}
    nurse = save_persona(project=project, name="Nurse", author=owner, **said)
    run = launched(project, personas=[nurse.pk], conversations=1)
    (brief,) = briefs_for(
        run, Recipe.model_validate(run.spec), Frozen.model_validate(run.frozen), list(run.slots.all())
    )
    assert brief.persona == PersonaSketch("Nurse", "Retired.\n- age band: 60\n\nBe curt.")
