"""How a corpus is searched: by words alone, or by an endpoint's embedding model as well."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from datasets import pulse
from datasets.models import Corpus, Project, SourceFile, User
from datasets.services.collecting import corpora, search
from datasets.services.collecting.ingest import ingest
from generation.models import CorpusEmbedding, Endpoint, Trial
from generation.services import trials
from generation.tasks import forget_vectors
from tests.api_program import Program, refusal
from tests.factories import make_project
from tests.fixtures_model_server import RunningModelServer
from tests.generation.questions import carry_out_all

ClientOf = Callable[[User], Client]

# What is looked up for an event loop is looked up in a thread of its own, which sees only what is committed.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def corpus(project: Project, owner: User) -> Corpus:
    corpus = corpora.create_corpus(project=project, name="Animals", user=owner)
    text = ContentFile(b"The cat sleeps on the warm windowsill.\n")
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
    assert embedding_calls(model_server) >= 1


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


# -- searching --------------------------------------------------------------------------------------------------------

QUESTION = "where is the cat"
ON_ITS_WAY = "The search by meaning is on its way."


@pytest.fixture
def embedded(corpus: Corpus, endpoint: Endpoint, model_server: RunningModelServer) -> Corpus:
    """The corpus, with two passages and searched by meaning too; a worker listens."""
    dog = ContentFile(b"The dog waits at the garden gate.\n")
    corpora.store_file(corpus=corpus, name="dog.txt", file=dog, user=None)
    CorpusEmbedding.objects.create(corpus=corpus, endpoint=endpoint, model="embed-1")
    corpora.reread_corpus(corpus=corpus, user=None)
    while corpus.files.open():
        for source in corpus.files.open():
            ingest(source.pk)
    model_server.reset()
    pulse.beat(["default"])
    return corpus


def search_page(corpus: Corpus) -> str:
    return reverse("datasets:corpus-search", args=[corpus.project.slug, corpus.pk])


def polled(client: Client, answer: HttpResponse, **more: Any) -> HttpResponse:
    """What the page that came as `answer` gets when it asks again."""
    asked = {"q": QUESTION, "asked": answer.context["asked"].waits}
    return client.get(search_page(answer.context["corpus"]), asked | more, headers={"HX-Request": "true"})


def test_what_words_find_is_shown_at_once_and_meaning_once_a_worker_had_the_vector(
    embedded: Corpus, annotator: User, client_of: ClientOf, model_server: RunningModelServer
) -> None:
    client = client_of(annotator)
    first = client.get(search_page(embedded), {"q": QUESTION})
    page = first.content.decode()
    assert "windowsill" in page
    assert "garden gate" not in page
    assert ON_ITS_WAY in page
    assert embedding_calls(model_server) == 0
    assert polled(client, first).status_code == 204
    assert carry_out_all() == 1
    fragment = polled(client, first).content.decode()
    assert "windowsill" in fragment
    assert "garden gate" in fragment  # the other passage has a vector too
    assert ON_ITS_WAY not in fragment
    assert "<html" not in fragment
    again = client.get(search_page(embedded), {"q": QUESTION})
    assert again.context["asked"].vector
    assert ON_ITS_WAY not in again.content.decode()
    assert (embedding_calls(model_server), Trial.objects.count()) == (1, 1)


def test_without_a_script_the_page_is_looked_at_again(embedded: Corpus, owner: User, client_of: ClientOf) -> None:
    client = client_of(owner)
    first = client.get(search_page(embedded), {"q": QUESTION})
    number = first.context["asked"].waits
    assert f'?q=where+is+the+cat&amp;asked={number}"' in first.content.decode()
    again = client.get(search_page(embedded), {"q": QUESTION, "asked": number})
    assert ON_ITS_WAY in again.content.decode()
    assert Trial.objects.count() == 1
    carry_out_all()
    assert "garden gate" in client.get(search_page(embedded), {"q": QUESTION, "asked": number}).content.decode()


def test_a_model_that_fails_is_named_above_what_words_find_and_asked_again(
    embedded: Corpus, owner: User, client_of: ClientOf, model_server: RunningModelServer
) -> None:
    client = client_of(owner)
    model_server.control(keys=["right"])
    first = client.get(search_page(embedded), {"q": QUESTION})
    carry_out_all()
    fragment = polled(client, first).content.decode()
    assert "does not accept this API key" in fragment
    assert "windowsill" in fragment
    assert 'search/?q=where+is+the+cat"' in fragment
    model_server.control(keys=None)
    anew = client.get(search_page(embedded), {"q": QUESTION})
    carry_out_all()
    assert "garden gate" in polled(client, anew).content.decode()


def test_a_number_of_another_question_or_project_is_not_waited_for(
    embedded: Corpus, owner: User, stranger: User, client_of: ClientOf
) -> None:
    client = client_of(owner)
    first = client.get(search_page(embedded), {"q": QUESTION})
    assert polled(client, first, q="where is the dog").status_code == 200
    assert Trial.objects.latest("pk").request["text"] == "where is the dog"
    theirs = trials.ask_for(
        project=stranger.projects.get(),
        kind=Trial.Kind.QUESTION,
        request={"corpus": embedded.pk, "text": QUESTION},
        user=stranger,
    )
    assert polled(client, first, asked=theirs.pk).status_code == 200
    assert Trial.objects.latest("pk").project == embedded.project
    assert client_of(stranger).get(search_page(embedded), {"q": QUESTION}).status_code == 404


def test_a_question_has_no_page_of_its_own_and_is_forgotten_after_a_day(
    embedded: Corpus, owner: User, client_of: ClientOf
) -> None:
    client = client_of(owner)
    number = client.get(search_page(embedded), {"q": QUESTION}).context["asked"].waits
    page = reverse("generation:trial-detail", args=[embedded.project.slug, number])
    assert client.get(page).status_code == 404
    forget_vectors()
    assert Trial.objects.filter(pk=number).exists()
    Trial.objects.update(created=timezone.now() - timedelta(hours=25))
    forget_vectors()
    assert not Trial.objects.exists()


def test_a_corpus_that_lost_its_model_meanwhile_is_searched_by_words(
    embedded: Corpus, owner: User, client_of: ClientOf
) -> None:
    client = client_of(owner)
    first = client.get(search_page(embedded), {"q": QUESTION})
    CorpusEmbedding.objects.all().delete()
    carry_out_all()
    assert Trial.objects.get().error == "The corpus is searched by words alone now."
    assert "windowsill" in polled(client, first).content.decode()


def test_a_program_is_told_when_no_worker_had_the_vector_in_time(
    embedded: Corpus, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MODEL_PATIENCE", 0.3)
    program = Program.of(owner)
    place = f"/projects/{embedded.project.slug}/corpora/{embedded.pk}/search"
    late = refusal(program.call("GET", place, q=QUESTION), 422)
    assert "No worker had the question’s vector within 0.3 s" in str(late)
    carry_out_all()
    assert len(program.get(place, q=QUESTION)) == 2
