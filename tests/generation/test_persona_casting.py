"""Which personas ask in a run: those of the documents that it asks about, in the words that they had at its launch."""

from __future__ import annotations

import pytest

from datasets.models import Document, Passage, Persona, Project, User
from datasets.services.personas import save_persona
from datasets.services.personas_added import Draft, add_personas
from generation.adapters.people import sketches_as_of
from generation.engine import sampling
from generation.engine.personas import cast
from generation.services.persona_casting import casting_of
from tests.generation.growing import documents

pytestmark = pytest.mark.django_db


def cut(document: Document, count: int) -> None:
    Passage.objects.bulk_create(
        Passage(corpus=document.corpus, document=document, index=n, text="x", start=n, end=n + 1) for n in range(count)
    )


def people(project: Project, document: Document, *names: str, depth: int = 0, **more: bool) -> list[Persona]:
    drafts = [Draft(name, f"About {name}.", document=document.pk, depth=depth, **more) for name in names]
    return add_personas(project=project, drafts=drafts, author=None)


def test_a_run_is_cast_with_the_accepted_people_of_its_documents(project: Project, owner: User) -> None:
    corpus = documents(project, "Gauge", "Mast", "Battery")
    gauge, mast, battery = corpus.documents.order_by("pk")
    for document in (gauge, mast, battery):
        cut(document, 2)
    own = people(project, gauge, "G1", "G2") + people(project, gauge, "G3", depth=1)
    people(project, gauge, "Proposed", proposed=True)
    people(project, mast, "Archived", archived=True)
    people(project, documents(project, "Other").documents.get(), "Elsewhere")
    by_hand = save_persona(project=project, name="Nurse", description="x", features={}, author=owner)

    casting = casting_of(corpus.pk)
    assert casting.passages == 6
    assert [(one.persona, one.depth) for one in casting.grown[gauge.pk]] == [(p.pk, p.depth) for p in own]
    assert set(casting.grown) == set(casting.documents.values()) == {gauge.pk}

    passages = list(Passage.objects.filter(corpus=corpus).values_list("pk", flat=True))
    plans = sampling.plan(9, seed=1, max_turns=1, passages=passages, personas=[by_hand.pk])
    for plan in cast(plans, casting, seed=1, requested=9):
        asked_about_gauge = plan.contexts[0] in casting.documents
        assert plan.persona in ({persona.pk for persona in own} if asked_about_gauge else {by_hand.pk})


def test_people_speak_in_the_words_that_they_had_at_the_launch(project: Project, owner: User) -> None:
    said = {"description": "Old.", "features": {"age_band": "60"}, "system_prompt": "Be curt."}
    persona = save_persona(project=project, name="Nurse", author=owner, **said)
    launched = persona.current.created
    save_persona(project=project, name="Nurse", description="New.", features={}, author=owner, persona=persona)
    (sketch,) = sketches_as_of([persona.pk], launched).values()
    assert (sketch.name, sketch.description) == ("Nurse", "Old.\n- age band: 60\n\nBe curt.")
    assert sketches_as_of([], launched) == {}
