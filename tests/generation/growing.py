"""Growths of personas for tests: documents as rows, and a worker's slices carried out at once."""

from __future__ import annotations

from typing import Any

from datasets.models import Corpus, Document, Project, SourceFile, User
from datasets.text import clean
from generation.engine.protocols import Failed, Job, Landing, PersonaSketch
from generation.models import Endpoint, PersonaBranch, PersonaGrowth
from generation.services.growing import claims, growths
from generation.services.growing.desk import GROWTHS
from generation.services.growing.growths import Order
from generation.services.growing.landing import Grown, land_personas
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
    return growths.start_growth(project=project, order=Order(corpus=corpus, endpoint=endpoint, **more), user=user)


def grown(growth: PersonaGrowth) -> PersonaGrowth:
    """The growth after workers have done what can be done now."""
    while GROWTHS.has_work(growth) and growth.is_active:
        GROWTHS.pull(growth.pk)
        growth.refresh_from_db()
    growth.refresh_from_db()
    return growth


def claimed(growth: PersonaGrowth, limit: int = 1) -> list[PersonaBranch]:
    """Branches that a worker holds."""
    return claims.claim_branches(growth_id=growth.pk, limit=limit)


def landed(growth: PersonaGrowth, branch: PersonaBranch, name: str = "", *, error: str = "") -> bool:
    """What the worker that holds the branch lands: five people, all of one name if there is one, or an error.

    Whether it was still its own to land.
    """
    people = [PersonaSketch(name or f"{branch.document.title} {n}", f"Person {n} of {branch.pk}.") for n in range(5)]
    outcome = Failed("dialog", error) if error else Grown(people)
    landing = Landing(Job(branch.pk, str(branch.lease_token), branch), outcome)
    done = land_personas(growth=growth, landings=[landing])
    growths.finish_growth(growth)
    return done.made + done.failed == 1
