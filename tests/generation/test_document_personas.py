"""Personas that were written from documents ask about those documents."""

from __future__ import annotations

from collections import Counter

import pytest

from datasets.models import Conversation, Corpus, Document, Persona, Project
from datasets.services.personas.saving import save_persona
from generation.adapters.briefs import briefs_for
from generation.engine.recipe import Recipe
from generation.frozen import Frozen
from generation.models import Run
from tests.datasets.ingesting import add, read
from tests.factories import make_corpus
from tests.generation.pulled import pulled
from tests.generation.runs import launched


@pytest.fixture
def corpus(project: Project) -> Corpus:
    """Three documents of one passage each."""
    corpus = make_corpus(project)
    for number in range(3):
        read(add(corpus, f"pump-{number}.txt", f"Pump number {number} is serviced every {number + 2} weeks.\n\n" * 3))
    return corpus


def person(project: Project, name: str, document: Document | None = None, depth: int = 0, **changes: bool) -> Persona:
    persona = save_persona(
        project=project, name=name, description=f"{name} asks.", features={"mood": "calm"}, author=None
    )
    Persona.objects.filter(pk=persona.pk).update(document=document, depth=depth, **changes)
    return persona


def cast(run: Run) -> list[tuple[str, str | None]]:
    """The document and the persona of each slot."""
    names = dict(Persona.objects.values_list("pk", "name"))
    titles = dict(Document.objects.values_list("passages", "title"))
    slots = run.slots.order_by("index").values_list("context", "persona")
    return [(titles[context[0]], names.get(persona)) for context, persona in slots]


@pytest.mark.django_db
def test_the_personas_of_a_document_ask_about_it_and_others_where_it_has_none(project: Project, corpus: Corpus) -> None:
    first, second, third = corpus.documents.order_by("pk")
    ada, ben = person(project, "Ada", first), person(project, "Ben", second)
    guest = person(project, "Guest")
    run = launched(project, corpus=corpus.pk, conversations=12, grown_personas=True, personas=[guest.pk])
    assert Counter(cast(run)) == {(first.title, "Ada"): 4, (second.title, "Ben"): 4, (third.title, "Guest"): 4}
    assert ada.pk != ben.pk


@pytest.mark.django_db
def test_shallow_personas_ask_before_deep_ones(project: Project, corpus: Corpus) -> None:
    (first, *_) = corpus.documents.order_by("pk")
    for number in range(5):
        person(project, f"Near {number}", first)
    for number in range(25):
        person(project, f"Far {number}", first, depth=1)
    run = launched(project, corpus=corpus.pk, conversations=18, grown_personas=True)
    asked = [name for title, name in cast(run) if title == first.title]
    assert len(asked) == len(set(asked)) == 6
    assert sum(name.startswith("Near") for name in asked if name) == 5


@pytest.mark.django_db
def test_proposed_and_archived_personas_never_ask(project: Project, corpus: Corpus) -> None:
    (first, *_) = corpus.documents.order_by("pk")
    person(project, "Waiting", first, proposed=True)
    person(project, "Gone", first, archived=True)
    run = launched(project, corpus=corpus.pk, conversations=6, grown_personas=True)
    assert {name for _, name in cast(run)} == {None}


@pytest.mark.django_db
def test_without_the_switch_the_personas_of_documents_stay_out(project: Project, corpus: Corpus) -> None:
    person(project, "Ada", corpus.documents.first())
    assert {name for _, name in cast(launched(project, corpus=corpus.pk, conversations=6))} == {None}


@pytest.mark.django_db
def test_a_persona_is_told_of_as_it_was_when_the_run_began(project: Project, corpus: Corpus) -> None:
    for document in corpus.documents.all():
        ada = person(project, f"Ada of {document.pk}", document)
    run = launched(project, corpus=corpus.pk, conversations=3, grown_personas=True)
    save_persona(project=project, name=ada.name, description="Changed.", features={}, author=None, persona=ada)
    slots = list(run.slots.all())
    spec, frozen = Recipe.model_validate(run.spec), Frozen.model_validate(run.frozen)
    told = [brief.persona for brief in briefs_for(run, spec, frozen, slots)]
    assert all(persona and persona.description.endswith("asks.\n- mood: calm") for persona in told)


@pytest.mark.django_db(transaction=True)
def test_conversations_keep_the_persona_that_asked(project: Project, corpus: Corpus) -> None:
    for document in corpus.documents.all():
        person(project, f"Ada of {document.pk}", document)
    run = pulled(launched(project, corpus=corpus.pk, conversations=3, max_turns=1, grown_personas=True))
    made = Conversation.objects.filter(batch=run.batch_id).with_head()
    assert len({conversation.persona_id for conversation in made}) == 3
    assert all(conversation.head.persona.endswith("asks.\n- mood: calm") for conversation in made)
