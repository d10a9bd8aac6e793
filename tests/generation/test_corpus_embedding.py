"""How a corpus is searched: by words alone, or by an endpoint's embedding model as well."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse

from datasets.models import Corpus, Project, SourceFile, User
from datasets.services import corpora, search
from datasets.services.errors import Refused
from datasets.services.ingest import ingest
from generation.models import CorpusEmbedding, Endpoint
from tests.factories import make_project
from tests.fixtures_model_server import RunningModelServer

ClientOf = Callable[[User], Client]

# What is looked up for an event loop is looked up in a thread of its own, which sees only what is committed.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def corpus(project: Project, owner: User) -> Corpus:
    corpus = corpora.create_corpus(project=project, name="Animals", user=owner)
    text = ContentFile(b"The cat sleeps on the warm windowsill.\n\nThe dog waits at the garden gate.\n")
    source, _ = corpora.store_file(corpus=corpus, name="animals.txt", file=text, user=owner)
    ingest(source.pk)
    return corpus


@pytest.fixture
def endpoint(project: Project, model_server: RunningModelServer) -> Endpoint:
    return Endpoint.objects.create(
        project=project, name="Vectors", preset="custom", base_url=model_server.base_url, embedding_model="embed-1"
    )


def address(project: Project, corpus: Corpus) -> str:
    return reverse("generation:corpus-embedding", args=[project.slug, corpus.pk])


def embedding_calls(server: RunningModelServer) -> int:
    return server.stats()["requests"].get("/v1/embeddings", 0)


def test_a_curator_has_a_corpus_searched_by_meaning_too(
    project: Project, corpus: Corpus, endpoint: Endpoint, teammate: User, client_of: ClientOf, model_server
) -> None:
    client = client_of(teammate)
    assert b"embed-1 at Vectors" in client.get(address(project, corpus)).content
    answer = client.post(address(project, corpus), {"endpoint": endpoint.pk})
    assert answer["Location"] == reverse("datasets:corpus-detail", args=[project.slug, corpus.pk])
    source = corpus.files.get()
    assert source.state == SourceFile.State.WAITING
    while source.state == SourceFile.State.WAITING:  # the index is made anew, which has the file read once more
        ingest(source.pk)
        source.refresh_from_db()
    assert source.state == SourceFile.State.READY, source.error
    indexed = embedding_calls(model_server)
    assert indexed >= 1
    found = client.get(reverse("datasets:corpus-search", args=[project.slug, corpus.pk]), {"q": "where is the cat"})
    assert "windowsill" in found.content.decode()
    assert embedding_calls(model_server) == indexed + 1


def test_back_to_words_alone(
    project: Project, corpus: Corpus, endpoint: Endpoint, owner: User, client_of: ClientOf
) -> None:
    CorpusEmbedding.objects.create(corpus=corpus, endpoint=endpoint, model="embed-1")
    client_of(owner).post(address(project, corpus), {"endpoint": ""})
    assert not CorpusEmbedding.objects.exists()
    assert corpus.files.get().state == SourceFile.State.WAITING


def test_saving_what_is_already_so_reads_nothing_again(
    project: Project, corpus: Corpus, owner: User, client_of: ClientOf
) -> None:
    client_of(owner).post(address(project, corpus), {"endpoint": ""})
    assert corpus.files.get().state == SourceFile.State.READY


def test_an_endpoint_of_another_project_or_without_embeddings_cannot_be_chosen(
    project: Project, corpus: Corpus, owner: User, client_of: ClientOf
) -> None:
    foreign = Endpoint.objects.create(
        project=make_project(), name="Theirs", preset="custom", base_url="http://localhost/v1", embedding_model="x"
    )
    for pk in (foreign.pk, project.endpoints.get(preset="offline").pk):
        answer = client_of(owner).post(address(project, corpus), {"endpoint": pk})
        assert answer.status_code == 422
    assert not CorpusEmbedding.objects.exists()


def test_an_annotator_may_not_and_a_stranger_does_not_find_it(
    project: Project, corpus: Corpus, annotator: User, stranger: User, client_of: ClientOf
) -> None:
    assert client_of(annotator).post(address(project, corpus), {"endpoint": ""}).status_code == 403
    assert client_of(stranger).get(address(project, corpus)).status_code == 404


def test_an_embedding_server_that_is_down_is_named_on_the_file(
    project: Project, corpus: Corpus, endpoint: Endpoint, owner: User, client_of: ClientOf, model_server
) -> None:
    model_server.control(keys=["right"])
    client_of(owner).post(address(project, corpus), {"endpoint": endpoint.pk})
    source = corpus.files.get()
    for _ in range(5):
        ingest(source.pk)
        SourceFile.objects.filter(pk=source.pk).update(lease_until=None)
    source.refresh_from_db()
    assert source.state == SourceFile.State.FAILED
    assert "key" in source.error.lower()


def test_a_search_says_who_kept_it_waiting(
    corpus: Corpus, endpoint: Endpoint, model_server: RunningModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MODEL_PATIENCE", 0.3)
    CorpusEmbedding.objects.create(corpus=corpus, endpoint=endpoint, model="embed-1")
    model_server.fail("hang", count=1)
    with pytest.raises(Refused, match=r"The embedding model did not answer within 0\.3 s: try again\."):
        search.search_corpus(corpus=corpus, query="where is the cat", limit=1)
