"""Runs over a collection that somebody else filled: asked about what was copied, answered from the collection itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from qdrant_client import QdrantClient

from datasets.models import Conversation, Corpus, Project, User
from datasets.schema import Source
from generation.models import Endpoint, Run
from generation.services.running.pulling import RUNS
from tests.datasets.adopting import TEXTS, adopt, choose, embedding_endpoint, fill, fill_alike
from tests.fixtures_foreign_qdrant import ForeignQdrant
from tests.fixtures_model_server import RunningModelServer
from tests.generation.runs import launched

ClientOf = Callable[[User], Client]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def endpoint(project: Project, model_server: RunningModelServer) -> Endpoint:
    return embedding_endpoint(project, model_server)


def made(project: Project, corpus: Corpus, when: str = "answer") -> Run:
    """A run, pulled to its end."""
    run = launched(project, corpus=corpus.pk, retrieval={"when": when, "depth": 3}, conversations=3, max_turns=1)
    RUNS.pull(run.pk)
    run.refresh_from_db()
    return run


def sources_of(conversation: Conversation) -> list[Source]:
    return [source for step in conversation.head.dialog.trace.steps for source in step.sources]


def test_answers_come_from_the_collection_and_nothing_is_written_to_it(
    project: Project,
    owner: User,
    client_of: ClientOf,
    endpoint: Endpoint,
    foreign: ForeignQdrant,
    qdrant: QdrantClient,
) -> None:
    fill_alike(qdrant)
    corpus = adopt(project, foreign, max_docs=2)
    choose(corpus, endpoint)
    foreign.control()
    run = made(project, corpus)
    assert (run.state, run.slots_done, run.reason) == (Run.State.DONE, 3, "")
    noted = foreign.noted()
    assert noted["written"] == []
    assert noted["asked"].count("POST /collections/court/points/query") == 3
    copied = set(corpus.documents.values_list("pk", flat=True))
    for conversation in project.conversations.with_head():
        sources = sources_of(conversation)
        assert {source.text for source in sources} == set(TEXTS)
        assert {source.document for source in sources} == copied | {0}
        page = client_of(owner).get(reverse("datasets:conversation-detail", args=[project.slug, conversation.pk]))
        assert TEXTS[2] in page.content.decode()
        assert "/documents/0/" not in page.content.decode()


def test_a_run_with_a_model_that_does_not_fit_asks_for_one_vector_and_says_both_sizes(
    project: Project,
    endpoint: Endpoint,
    foreign: ForeignQdrant,
    qdrant: QdrantClient,
) -> None:
    fill(qdrant)
    corpus = adopt(project, foreign)
    choose(corpus, endpoint)
    run = made(project, corpus)
    assert (run.state, run.slots_done, run.calls) == (Run.State.FAILED, 0, 1)
    assert run.ledger.get().operation == "embedding"
    assert "have 4 dimensions and those of “embed-1” have 64" in run.reason


def test_without_a_model_a_run_can_still_ask_about_what_was_copied(
    project: Project, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill(qdrant)
    corpus = adopt(project, foreign)
    assert "searched by its vectors alone" in made(project, corpus).reason
    run = made(project, corpus, when="never")
    assert (run.state, run.slots_done) == (Run.State.DONE, 3)
