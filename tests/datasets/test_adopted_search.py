"""An adopted corpus is searched where it is, by its vectors, and says what keeps it from being searched."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import Client
from django.urls import reverse
from qdrant_client import QdrantClient, models

from datasets.models import Corpus, Project, User
from datasets.schema import Source
from generation.adapters.retrieving import check_retrieval, retriever_for
from generation.adapters.speaking import Switchboard
from generation.engine.errors import EngineError, FatalError
from generation.engine.providers import ClientPool
from generation.models import CorpusEmbedding, Endpoint, Trial
from generation.services.trials import carry_out
from tests.datasets.adopting import (
    SIZE,
    TEXTS,
    adopt,
    at,
    choose,
    embedding_endpoint,
    fill,
    fill_alike,
    source_of,
)
from tests.datasets.ingesting import CAT, add, read
from tests.factories import make_corpus
from tests.fixtures_foreign_qdrant import ForeignQdrant
from tests.fixtures_model_server import ROOT, RunningModelServer
from tests.generation.questions import asked, carry_out_all
from tests.model_server_replies import vector

ClientOf = Callable[[User], Client]

# What is looked up for an event loop is looked up in a thread of its own, which sees only what is committed.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def endpoint(project: Project, model_server: RunningModelServer) -> Endpoint:
    return embedding_endpoint(project, model_server)


def retrieve(corpus: Corpus, query: str, depth: int = 3) -> tuple[Source, ...]:
    async def ask() -> tuple[Source, ...]:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(ClientPool())
            retriever = await retriever_for(corpus.pk, depth=depth, switchboard=Switchboard([], pool), stack=stack)
            try:
                return await retriever.retrieve(query)
            finally:
                await sync_to_async(connections.close_all)()

    return asyncio.run(ask())


# -- retrieving ------------------------------------------------------------------------------------------------------


def test_a_question_finds_the_passages_that_were_copied(
    project: Project, endpoint: Endpoint, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill_alike(qdrant)
    corpus = adopt(project, foreign)
    choose(corpus, endpoint)
    foreign.control()
    first, *others = retrieve(corpus, "The dog waits at the garden gate")
    document = corpus.documents.get(key="2")
    assert (first.document, first.passage) == (document.pk, document.passages.get().pk)
    assert (first.title, first.text, first.end, first.score) == ("Case 2", TEXTS[1], len(TEXTS[1]), 1.0)
    assert first.metadata == {"id": "2", "collection_name": "court"}
    assert len(others) == 2
    assert foreign.noted() == {"written": [], "asked": ["POST /collections/court/points/query"]}
    assert len(retrieve(corpus, "The dog", depth=1)) == 1
    assert retrieve(corpus, "  ") == ()


def test_a_named_vector_is_searched_by_its_name_and_a_threshold_holds(
    project: Project, endpoint: Endpoint, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill_alike(qdrant, vector_name="text")
    corpus = adopt(project, foreign, vector="text", score_threshold=0.99)
    assert corpus.adopted is not None
    assert (corpus.adopted.vector, corpus.adopted.size, corpus.adopted.distance) == ("text", SIZE, "Cosine")
    choose(corpus, endpoint)
    assert [source.text for source in retrieve(corpus, TEXTS[2])] == [TEXTS[2]]


def test_what_was_not_copied_or_has_changed_comes_back_as_a_text_outside_the_archive(
    project: Project, endpoint: Endpoint, owner: User, client_of: ClientOf, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill_alike(qdrant)
    corpus = adopt(project, foreign, max_docs=2)
    choose(corpus, endpoint)
    changed = {"text": "The dog sleeps now.", "title": "Case 2"}
    qdrant.upsert("court", [models.PointStruct(id=2, vector=list(vector(TEXTS[1], SIZE)), payload=changed)])
    [new] = retrieve(corpus, TEXTS[2], depth=1)
    assert (new.document, new.passage, new.title, new.text) == (0, 0, "Case 3", TEXTS[2])
    assert new.metadata == {"id": "3", "collection_name": "court"}
    [other] = retrieve(corpus, TEXTS[1], depth=1)
    assert (other.document, other.passage, other.text) == (0, 0, "The dog sleeps now.")
    asked(corpus, TEXTS[2])
    page = client_of(owner).get(at("corpus-search", corpus), {"q": TEXTS[2]}).content.decode()
    assert "Case 3" in page
    assert "/documents/0/" not in page
    assert at("document-detail", corpus, corpus.documents.get(key="1").pk) in page


def test_points_without_a_text_are_no_hits(
    project: Project, endpoint: Endpoint, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill_alike(qdrant)
    qdrant.upsert("court", [models.PointStruct(id=7, vector=list(vector("zebra", SIZE)), payload={"body": "x"})])
    corpus = adopt(project, foreign)
    choose(corpus, endpoint)
    found = [source.text for source in retrieve(corpus, "zebra")]
    assert len(found) == 2
    assert set(found) < set(TEXTS)


def test_an_own_corpus_is_retrieved_from_as_before(project: Project) -> None:
    corpus = make_corpus(project)
    read(add(corpus, "pets.txt", CAT))
    [source] = retrieve(corpus, "where does the cat sleep")
    assert source.text == CAT.strip()
    assert source.passage == corpus.passages.get().pk


def test_a_key_that_is_refused_and_a_collection_that_is_gone_stop_a_run(
    project: Project, endpoint: Endpoint, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill_alike(qdrant)
    corpus = adopt(project, foreign)
    choose(corpus, endpoint)
    foreign.control(key="another")
    with pytest.raises(FatalError, match="refuses the API key"):
        retrieve(corpus, "dog")
    foreign.control()
    qdrant.delete_collection("court")
    with pytest.raises(FatalError, match="“court” is not on its server any more"):
        retrieve(corpus, "dog")


# -- checking before a run -------------------------------------------------------------------------------------------


def checked(corpus: Corpus) -> str:
    """What a run would be told; "" if it may begin."""

    async def ask() -> None:
        async with ClientPool() as pool:
            await check_retrieval(corpus.pk, Switchboard([], pool))

    try:
        asyncio.run(ask())
    except EngineError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def test_a_run_may_begin_when_the_models_vectors_are_as_long_as_the_collections(
    project: Project, endpoint: Endpoint, foreign: ForeignQdrant, qdrant: QdrantClient, model_server: RunningModelServer
) -> None:
    fill_alike(qdrant)
    corpus = adopt(project, foreign)
    choose(corpus, endpoint)
    model_server.reset()
    assert checked(corpus) == ""
    assert model_server.stats()["requests"] == {"/v1/embeddings": 1}


def test_a_model_with_other_vectors_stops_a_run_with_both_sizes(
    project: Project, endpoint: Endpoint, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill(qdrant)
    corpus = adopt(project, foreign)
    choose(corpus, endpoint)
    assert checked(corpus) == (
        "FatalError: The vectors of “court” have 4 dimensions and those of “embed-1” have 64: "
        "choose the embedding model that they were made with."
    )


def test_what_keeps_a_run_from_retrieving_is_said_before_it_begins(
    project: Project, endpoint: Endpoint, foreign: ForeignQdrant, qdrant: QdrantClient, model_server: RunningModelServer
) -> None:
    fill_alike(qdrant)
    corpus = adopt(project, foreign)
    assert "FatalError: “court” is searched by its vectors alone: choose the embedding model" in checked(corpus)
    choose(corpus, endpoint)
    model_server.control(keys=["right"])
    assert "does not accept this API key" in checked(corpus)
    model_server.control(keys=None)
    qdrant.delete_collection("court")
    assert "FatalError: The collection “court” is not on its server any more." in checked(corpus)
    fill(qdrant)
    assert "have changed since it was adopted" in checked(corpus)
    foreign.control(answer="busy")
    assert checked(corpus).startswith("TransientError: What answers at")


def test_an_own_corpus_that_another_model_indexed_is_told_so_too(project: Project, endpoint: Endpoint) -> None:
    corpus = make_corpus(project, name="Pets")
    assert checked(corpus) == ""
    read(add(corpus, "pets.txt", CAT))
    assert checked(corpus) == ""
    choose(corpus, endpoint)
    assert checked(corpus) == (
        "FatalError: “Pets” is indexed with vectors of no dimensions, and those of “embed-1” have 64: "
        "have its files read again."
    )


def test_a_collection_of_sparse_vectors_can_be_asked_about_and_not_searched(
    project: Project, owner: User, client_of: ClientOf, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    qdrant.create_collection("words", {}, sparse_vectors_config={"bm25": models.SparseVectorParams()})
    sparse = models.SparseVector(indices=[1], values=[1.0])
    qdrant.upsert("words", [models.PointStruct(id=1, vector={"bm25": sparse}, payload={"text": "Words."})])
    corpus = adopt(project, foreign, "words")
    assert corpus.passages.count() == 1
    assert "has no vectors that can be searched" in checked(corpus)
    page = client_of(owner).get(at("corpus-detail", corpus)).content.decode()
    assert "retrieve nothing from it" in page


# -- choosing the model ----------------------------------------------------------------------------------------------


def test_a_curator_chooses_the_model_that_embeds_questions(
    project: Project,
    endpoint: Endpoint,
    teammate: User,
    client_of: ClientOf,
    foreign: ForeignQdrant,
    qdrant: QdrantClient,
    model_server: RunningModelServer,
) -> None:
    fill_alike(qdrant)
    corpus, http = adopt(project, foreign), client_of(teammate)
    page = reverse("generation:corpus-embedding", args=[project.slug, corpus.pk])
    state = reverse("generation:corpus-embedding-state", args=[project.slug, corpus.pk])
    assert "have 64 dimensions" in " ".join(http.get(page).content.decode().split())
    assert "by its vectors alone" in http.get(state).content.decode()
    copied = source_of(corpus).revision
    trial = http.post(page, {"endpoint": endpoint.pk, "model": "embed-2"})["Location"]
    assert "every 1s" in http.get(trial).content.decode()
    assert not CorpusEmbedding.objects.exists()
    assert carry_out_all() == 1
    assert "It fits." in http.get(trial).content.decode()
    chosen = CorpusEmbedding.objects.get(corpus=corpus)
    assert (chosen.endpoint, chosen.model) == (endpoint, "embed-2")
    assert model_server.requests()[-1]["body"]["model"] == "embed-2"
    assert source_of(corpus).revision == copied  # nothing has to be copied again
    assert "embed-2" in http.get(state).content.decode()
    http.post(page, {"endpoint": ""})
    assert not CorpusEmbedding.objects.exists()


def test_a_model_whose_vectors_do_not_fit_is_not_taken_and_the_page_leads_back_to_the_form(
    project: Project, endpoint: Endpoint, owner: User, client_of: ClientOf, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill(qdrant)
    corpus = adopt(project, foreign)
    page = reverse("generation:corpus-embedding", args=[project.slug, corpus.pk])
    http = client_of(owner)
    trial = http.post(page, {"endpoint": endpoint.pk})["Location"]
    carry_out_all()
    answer = http.get(trial)
    assert "have 4 dimensions and those of “embed-1” have 64" in answer.content.decode()
    assert http.get(answer.context["back"]).context["form"]["model"].value() == "embed-1"
    nameless = project.endpoints.create(name="Chat", preset="custom", base_url="http://localhost:9/v1", chat_model="c")
    answer = http.post(page, {"endpoint": nameless.pk})
    assert answer.status_code == 422
    assert "names no embedding model" in answer.context["form"].errors["endpoint"][0]
    assert not CorpusEmbedding.objects.exists()


def test_of_two_models_that_are_tried_out_the_one_asked_for_last_is_taken(
    project: Project, endpoint: Endpoint, owner: User, client_of: ClientOf, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill_alike(qdrant)
    corpus, http = adopt(project, foreign), client_of(owner)
    page = reverse("generation:corpus-embedding", args=[project.slug, corpus.pk])
    slow, quick = (http.post(page, {"endpoint": endpoint.pk, "model": name})["Location"] for name in ("slow", "quick"))
    for trial in Trial.objects.order_by("-pk"):
        carry_out(trial_id=trial.pk)
    assert "It fits." in http.get(quick).content.decode()
    assert "Another model was asked for meanwhile." in http.get(slow).content.decode()
    assert CorpusEmbedding.objects.get(corpus=corpus).model == "quick"


def test_a_stranger_learns_nothing_of_the_model(
    project: Project,
    endpoint: Endpoint,
    stranger: User,
    client_of: ClientOf,
    foreign: ForeignQdrant,
    qdrant: QdrantClient,
) -> None:
    fill_alike(qdrant)
    corpus = adopt(project, foreign)
    for name in ("corpus-embedding", "corpus-embedding-state"):
        page = reverse(f"generation:{name}", args=[project.slug, corpus.pk])
        assert client_of(stranger).get(page).status_code == 404


# -- the walkthrough -------------------------------------------------------------------------------------------------


def opinions(folder: Path) -> Path:
    rows = [
        {
            "id": "41",
            "title": "Cat v. Windowsill",
            "date_filed": "2017-05-30",
            "text": "The cat sleeps.\n\nIt is warm.",
        },
        {"id": "42", "title": "Dog v. Postman", "date_filed": "2018-01-02", "text": "The dog waits at the gate. " * 80},
    ]
    file = folder / "opinions.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def index_corpus(file: Path, foreign: ForeignQdrant, models_at: str, *more: str) -> subprocess.CompletedProcess[str]:
    script = ROOT / "examples" / "caselaw" / "index_corpus.py"
    where = ["--qdrant-url", foreign.url, "--base-url", models_at, "--model", "embed-1"]
    return subprocess.run(
        [sys.executable, script, file, *where, *more], capture_output=True, text=True, timeout=60, check=False
    )


def test_opinions_indexed_by_the_example_are_adopted_copied_and_searched(
    project: Project,
    owner: User,
    client_of: ClientOf,
    foreign: ForeignQdrant,
    model_server: RunningModelServer,
    tmp_path: Path,
) -> None:
    for _ in range(2):  # the second time writes the same points
        ran = index_corpus(opinions(tmp_path), foreign, model_server.base_url)
        assert ran.returncode == 0, ran.stderr
    corpus = adopt(project, foreign, "caselaw", id_key="id")
    assert corpus.documents.count() == 1 + 2
    cat = corpus.documents.get(title="Cat v. Windowsill")
    assert (cat.external_id, cat.metadata["date_filed"], cat.text) == (
        "41",
        "2017-05-30",
        "The cat sleeps.\n\nIt is warm.",
    )
    http = client_of(owner)
    silent = http.get(at("corpus-search", corpus), {"q": "where does the cat sleep"})
    assert "searched by its vectors alone: choose the embedding model" in silent.context["fault"]
    endpoint = project.endpoints.create(
        name="Vectors", preset="custom", base_url=model_server.base_url, embedding_model="embed-1"
    )
    chosen = http.post(
        reverse("generation:corpus-embedding", args=[project.slug, corpus.pk]), {"endpoint": endpoint.pk}
    )
    assert chosen.status_code == 302
    carry_out_all()
    question = "Cat v. Windowsill: the cat sleeps, warm"
    asked(corpus, question)
    found = http.get(at("corpus-search", corpus), {"q": question}).context["hits"]
    assert found[0].passage.document == cat.pk
    assert found[0].passage.id == cat.passages.get().pk
    assert found[0].score > found[1].score > 0


def test_the_example_says_what_stops_it(
    foreign: ForeignQdrant, qdrant: QdrantClient, model_server: RunningModelServer, tmp_path: Path
) -> None:
    fill(qdrant, "caselaw")
    ran = index_corpus(opinions(tmp_path), foreign, model_server.base_url)
    assert ran.returncode == 1
    assert "the collection has vectors of 4 dimensions, the model makes 64" in ran.stderr
    assert "Traceback" not in ran.stderr
