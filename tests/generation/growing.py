"""Growths of personas for tests: documents as rows, and a worker's slices carried out at once."""

from __future__ import annotations

from typing import Any

from datasets.models import Corpus, Document, Project, SourceFile, User
from datasets.text import clean
from generation.models import Endpoint, PersonaGrowth
from generation.services import persona_growths, persona_work
from generation.services.persona_growths import Order
from tests.factories import make_corpus

TEXT = "The tipping bucket of gauge {0} counts the rain. Clean the funnel of gauge {0} every spring."


def documents(project: Project, *titles: str, text: str = TEXT) -> Corpus:
    """A corpus with documents of these titles, in no index."""
    corpus = make_corpus(project)
    source = SourceFile.objects.create(corpus=corpus, name="a.jsonl", size=1, sha256="0", state="ready")
    said = {title: clean(text.format(title)) for title in titles}
    Document.objects.bulk_create(
        Document(corpus=corpus, source=source, key=title, title=title, text=words, characters=len(words), revision=1)
        for title, words in said.items()
    )
    return corpus


def ordered(
    project: Project, corpus: Corpus, user: User, endpoint: Endpoint | None = None, **more: Any
) -> PersonaGrowth:
    endpoint = endpoint or project.endpoints.get(preset="offline")
    return persona_growths.start_growth(
        project=project, order=Order(corpus=corpus, endpoint=endpoint, **more), user=user
    )


def grown(growth: PersonaGrowth) -> PersonaGrowth:
    """The growth after workers have done what can be done now."""
    while persona_work.grow(growth_id=growth.pk):
        pass
    growth.refresh_from_db()
    return growth
