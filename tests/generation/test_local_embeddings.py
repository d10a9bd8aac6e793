"""Embedding models of this machine as endpoints: chosen on a page, corpora read and searched by them."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.test import Client
from django.urls import reverse

from datasets.models import Corpus, Project, SourceFile, User
from datasets.services.collecting.ingest import ingest
from generation.models import CorpusEmbedding, Endpoint, PassageVector
from tests.datasets.ingesting import add, read
from tests.engine.tiny_model import INSTALLED, SIZE, make_tiny, needs_the_extra
from tests.factories import make_corpus
from tests.generation.pulled import pulled
from tests.generation.questions import carry_out_all, searched
from tests.generation.runs import launched

ClientOf = Callable[[User], Client]

pytestmark = pytest.mark.django_db(transaction=True)

FIELDS = {
    "name": "Here",
    "embedding_model": "tiny",
    "timeout": "60",
    "price-TOTAL_FORMS": "0",
    "price-INITIAL_FORMS": "0",
}


@pytest.fixture
def corpus(project: Project) -> Corpus:
    corpus = make_corpus(project)
    read(add(corpus, "pump.txt", "Reset the pump by the green button.\n\nThe elephant is of the savanna.\n"))
    return corpus


def made(project: Project, client: Client) -> Endpoint:
    new = reverse("generation:endpoint-new", args=[project.slug])
    assert client.post(f"{new}?preset=local", FIELDS).status_code == 302
    return project.endpoints.get(name="Here")


def embedded(project: Project, corpus: Corpus, endpoint: Endpoint, client: Client) -> SourceFile:
    """The corpus's file, once it was read by whatever embeds it."""
    address = reverse("generation:corpus-embedding", args=[project.slug, corpus.pk])
    assert client.post(address, {"endpoint": endpoint.pk}).status_code == 302
    source = corpus.files.get()
    for _ in range(5):
        ingest(source.pk)
        SourceFile.objects.filter(pk=source.pk).update(lease_until=None)
    source.refresh_from_db()
    return source


def test_they_are_offered_where_the_installation_names_some(
    project: Project, owner: User, client_of: ClientOf, settings: Any
) -> None:
    new = reverse("generation:endpoint-new", args=[project.slug])
    assert "This machine" not in client_of(owner).get(new).content.decode()
    settings.LOCAL_EMBEDDING_MODELS = {"tiny": "/nowhere"}
    assert "This machine" in client_of(owner).get(new).content.decode()
    form = client_of(owner).get(f"{new}?preset=local").content.decode()
    assert '<option value="tiny">' in form


@pytest.mark.skipif(INSTALLED, reason="the extra local-embeddings is installed")
def test_without_the_extra_the_file_says_what_to_install(
    project: Project, corpus: Corpus, owner: User, client_of: ClientOf, settings: Any
) -> None:
    settings.LOCAL_EMBEDDING_MODELS = {"tiny": "/nowhere"}
    client = client_of(owner)
    source = embedded(project, corpus, made(project, client), client)
    assert source.state == SourceFile.State.FAILED
    assert 'pip install ".[local-embeddings]"' in source.error


def test_a_page_loads_no_model_and_shows_what_words_find(
    project: Project, corpus: Corpus, owner: User, client_of: ClientOf, settings: Any
) -> None:
    settings.LOCAL_EMBEDDING_MODELS = {"tiny": "/nowhere"}
    client = client_of(owner)
    CorpusEmbedding.objects.create(corpus=corpus, endpoint=made(project, client), model="tiny")
    page, before = reverse("datasets:corpus-search", args=[project.slug, corpus.pk]), psutil.Process().children()
    first = client.get(page, {"q": "reset pump"})
    assert "green button" in first.content.decode()
    assert psutil.Process().children() == before
    carry_out_all()  # a worker has to load it, and cannot
    asked = {"q": "reset pump", "asked": first.context["asked"].waits}
    assert "local-embeddings" in (said := client.get(page, asked).content.decode()) or "cannot be loaded" in said
    assert "green button" in said


@pytest.mark.slow
@needs_the_extra
def test_a_corpus_is_read_searched_and_asked_about_by_a_model_of_this_machine(
    project: Project, corpus: Corpus, owner: User, client_of: ClientOf, settings: Any, tmp_path: Path
) -> None:
    settings.LOCAL_EMBEDDING_MODELS = {"tiny": make_tiny(tmp_path)}
    client = client_of(owner)
    endpoint = made(project, client)
    source = embedded(project, corpus, endpoint, client)
    assert source.state == SourceFile.State.READY, source.error
    kept = PassageVector.objects.filter(endpoint=endpoint, model="tiny")
    assert kept.exists()
    assert {len(array("f", bytes(one.vector))) for one in kept} == {SIZE}

    hits = searched(corpus, "reset pump")
    assert ["green button" in hit.passage.text for hit in hits] == [True]
    run = pulled(launched(project, corpus=corpus.pk, conversations=2, max_turns=1, retrieval={"when": "answer"}))
    assert (run.state, run.slots_done) == ("done", 2), run.reason
