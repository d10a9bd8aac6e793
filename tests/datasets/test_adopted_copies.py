"""The points of an adopted collection are copied page by page, again when asked, and never written to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from qdrant_client import QdrantClient, models

from datasets.foreign_index import ForeignCollection
from datasets.index import IndexUnavailable
from datasets.models import AdoptedCollection, Corpus, Document, Passage, Project, SourceFile, User
from datasets.services.collecting import adopting, corpora
from datasets.services.collecting.ingest import clear_corpus, ingest
from tests.datasets.adopting import TEXTS, adopt, at, fill, source_of
from tests.factories import make_project
from tests.fixtures_foreign_qdrant import ForeignQdrant
from tests.workers import addresses

ClientOf = Callable[[User], Client]

# What is looked up for an event loop is looked up in a thread of its own, which sees only what is committed.
pytestmark = pytest.mark.django_db(transaction=True)


def test_points_become_documents_with_their_ids_titles_and_metadata(
    project: Project, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    name = "6f6ad2cf-59a5-4f14-9c26-2c4f1d2a7a10"
    payload = {"page": {"text": "First\u0000 text.", "title": "One"}, "meta": {"ref": 7, "tags": ["a"]}, "court": "x"}
    fill(qdrant, points=[(name, payload), (3, {"page": {"text": "Second text."}})])
    corpus = adopt(project, foreign, content_key="page.text", title_key="page.title", id_key="meta.ref")
    first = corpus.documents.get(key=name)
    assert (first.text, first.title, first.external_id) == ("First text.", "One", "7")
    assert first.metadata == {"page": {}, "meta": {"ref": 7, "tags": ["a"]}, "court": "x"}
    second = corpus.documents.get(key="3")
    assert (second.title, second.external_id) == ("court, 3", "3")
    passage = second.passages.get()
    assert (passage.text, passage.start, passage.end) == ("Second text.", 0, 12)


def test_points_without_a_text_are_left_out_and_counted(
    project: Project, owner: User, client_of: ClientOf, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    points: list[tuple[Any, dict[str, Any]]] = [
        (1, {"text": "Good."}),
        (2, {"body": "x"}),
        (3, {"text": 5}),
        (4, {"text": " "}),
    ]
    fill(qdrant, points=points)
    corpus = adopt(project, foreign, content_key="text")
    source = source_of(corpus)
    assert (source.state, source.document_count, source.problem_count) == (SourceFile.State.READY, 1, 3)
    assert source.problems == [
        ["point 2", "It has no “text”."],
        ["point 3", "Its “text” holds no text."],
        ["point 4", "Its “text” is empty."],
    ]
    assert "3 points" in client_of(owner).get(at("corpus-detail", corpus)).content.decode()
    assert "point 3" in client_of(owner).get(at("corpus-file", corpus, source.pk)).content.decode()


def test_no_more_than_wanted_are_copied_page_by_page(
    project: Project, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill(qdrant, points=[(n, {"text": f"Text number {n}."}) for n in range(600)])
    foreign.control()
    corpus = adopt(project, foreign, max_docs=300)
    assert sorted(int(key) for key in corpus.documents.values_list("key", flat=True)) == list(range(300))
    asked = foreign.noted()["asked"]
    assert asked.count("POST /collections/court/points/scroll") == 1 + 2  # a look, and two pages
    assert corpus.adopted is not None
    corpus.adopted.refresh_from_db()
    assert corpus.adopted.points == 600
    assert source_of(corpus).progress == 1


def test_points_too_large_for_one_answer_are_read_fewer_at_a_time(
    project: Project, foreign: ForeignQdrant, qdrant: QdrantClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(qdrant, points=[(n, {"text": "word " * 2_000}) for n in range(30)])
    monkeypatch.setattr("datasets.foreign_index.LARGEST", 60_000)
    assert adopt(project, foreign).documents.count() == 30


def test_a_long_point_is_cut_into_passages(project: Project, foreign: ForeignQdrant, qdrant: QdrantClient) -> None:
    fill(qdrant, points=[(1, {"text": "A sentence of an opinion. " * 2_000})])
    document = adopt(project, foreign).documents.get()
    lengths = [len(text) for text in document.passages.values_list("text", flat=True)]
    assert len(lengths) >= 3
    assert max(lengths) <= 20_000


def test_refreshing_copies_what_is_new_keeps_ids_and_forgets_what_is_gone(
    project: Project, teammate: User, client_of: ClientOf, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill(qdrant)
    corpus = adopt(project, foreign)
    kept = corpus.documents.get(key="1").passages.get().pk
    qdrant.delete("court", [2])
    qdrant.upsert("court", [models.PointStruct(id=9, vector=[0, 0, 0, 1.0], payload={"text": "New."})])
    qdrant.upsert("court", [models.PointStruct(id=1, vector=[1.0, 0, 0, 0], payload={"text": "Changed."})])
    answer = client_of(teammate).post(at("corpus-reread", corpus))
    assert answer["Location"] == at("corpus-detail", corpus)
    ingest(source_of(corpus).pk)
    assert dict(corpus.documents.values_list("key", "text")) == {"1": "Changed.", "3": TEXTS[2], "9": "New."}
    assert corpus.documents.get(key="1").passages.get().pk == kept
    assert Passage.objects.filter(corpus=corpus).count() == 3


def test_a_copy_that_was_cut_off_begins_again_and_ends_with_the_same_rows(
    project: Project, foreign: ForeignQdrant, qdrant: QdrantClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(qdrant, points=[(n, {"text": f"Text number {n}."}) for n in range(600)])
    page, asked = ForeignCollection.page, []

    async def cut_off(self: ForeignCollection, *given: Any) -> Any:
        asked.append(given)
        if len(asked) == 3:  # the look, a page, and then no more
            raise IndexUnavailable("The vector store went away.")
        return await page(self, *given)

    monkeypatch.setattr(ForeignCollection, "page", cut_off)
    corpus = adopt(project, foreign)
    source = source_of(corpus)
    assert (source.state, source.error) == (SourceFile.State.WAITING, "The vector store went away.")
    assert 0 < corpus.documents.count() < 600
    SourceFile.objects.update(lease_until=None)
    ingest(source.pk)
    source.refresh_from_db()
    assert (source.state, source.error, source.document_count) == (SourceFile.State.READY, "", 600)
    assert corpus.documents.count() == Passage.objects.filter(corpus=corpus).count() == 600


def test_a_copy_that_is_killed_is_followed_by_one_that_ends_the_same(
    project: Project, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill(qdrant, points=[(n, {"text": f"Text number {n}."}) for n in range(600)])
    corpus, source = adopting.adopt_collection(
        project=project, name="court", url=foreign.url, key="", collection="court", user=None
    )
    command = [sys.executable, "-m", "tests.datasets.dying_reader", str(source.pk), "between two slices of a copy"]
    assert subprocess.run(command, env={**os.environ, **addresses()}, check=False).returncode == -signal.SIGKILL
    assert 0 < corpus.documents.count() < 600 + 1
    SourceFile.objects.update(lease_until=None)
    ingest(source.pk)
    assert source_of(corpus).state == SourceFile.State.READY
    assert corpus.documents.count() == Passage.objects.filter(corpus=corpus).count() == 600


@pytest.mark.parametrize(
    ("trouble", "sentence"), [("gone", "not on its server any more"), ("locked", "refuses the API key")]
)
def test_a_collection_that_cannot_be_read_any_more_leaves_what_was_copied(
    project: Project, foreign: ForeignQdrant, qdrant: QdrantClient, trouble: str, sentence: str
) -> None:
    fill(qdrant)
    corpus = adopt(project, foreign)
    foreign.control(key="new") if trouble == "locked" else qdrant.delete_collection("court")
    corpora.reread_corpus(corpus=corpus, user=None)
    ingest(source_of(corpus).pk)
    source = source_of(corpus)
    assert source.state == SourceFile.State.FAILED
    assert sentence in source.error
    assert "earlier version is kept" in source.error
    assert corpus.documents.count() == 3


def test_nothing_is_ever_written_to_the_collection(
    project: Project, owner: User, client_of: ClientOf, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill(qdrant)
    foreign.control()
    corpus = adopt(project, foreign)
    http = client_of(owner)
    http.get(at("corpus-search", corpus), {"q": "cat"})
    http.post(at("corpus-reread", corpus))
    ingest(source_of(corpus).pk)
    http.post(at("corpus-delete", corpus))
    clear_corpus(corpus.pk)
    assert not Corpus.with_deleted.filter(pk=corpus.pk).exists()
    assert not AdoptedCollection.objects.exists()
    assert not Document.objects.exists()
    noted = foreign.noted()
    assert noted["written"] == []
    assert noted["asked"] != []
    assert qdrant.count("court").count == 3


@pytest.mark.parametrize("deleted", ["corpus", "corpora", "project"])
def test_where_a_collection_is_is_forgotten_with_its_corpus_however_it_goes(deleted: str, project: Project) -> None:
    kept = AdoptedCollection.objects.create(url="http://q:6333", collection="other", content_key="text")
    Corpus.objects.create(project=make_project(), name="Other", adopted=kept)
    gone = AdoptedCollection.objects.create(url="http://q:6333", collection="court", content_key="text")
    corpus = Corpus.objects.create(project=project, name="Court", adopted=gone)
    {"corpus": corpus.delete, "corpora": project.corpora.all().delete, "project": project.delete}[deleted]()
    assert list(AdoptedCollection.objects.all()) == [kept]


def test_files_do_not_go_into_an_adopted_corpus(
    project: Project, owner: User, client_of: ClientOf, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill(qdrant)
    corpus, http = adopt(project, foreign), client_of(owner)
    pasted = http.post(at("corpus-paste", corpus), {"title": "a", "text": "b"})
    assert pasted.status_code == 422
    assert "make another one for files" in pasted.content.decode()
    http.post(at("corpus-file-delete", corpus, source_of(corpus).pk))
    assert source_of(corpus).state == SourceFile.State.READY
    assert http.get(at("corpus-file-original", corpus, source_of(corpus).pk)).status_code == 404


def test_what_is_read_is_changed_and_copied_again(
    project: Project, owner: User, client_of: ClientOf, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill(qdrant)
    corpus, http = adopt(project, foreign, content_key="text", title_key="title"), client_of(owner)
    assert http.get(at("corpus-reading", corpus)).context["form"]["content_key"].value() == "text"
    same = {"content_key": "text", "title_key": "title", "id_key": "", "max_docs": "10000", "vector": ""}
    http.post(at("corpus-reading", corpus), same | {"score_threshold": "0.5"})
    assert source_of(corpus).state == SourceFile.State.READY  # a threshold changes no copy
    http.post(at("corpus-reading", corpus), same | {"content_key": "title", "max_docs": "2"})
    assert source_of(corpus).state == SourceFile.State.WAITING
    ingest(source_of(corpus).pk)
    assert sorted(corpus.documents.values_list("text", flat=True)) == ["Case 1", "Case 2"]
    wrong = http.post(at("corpus-reading", corpus), same | {"content_key": "nope"})
    assert wrong.status_code == 422
    assert "nope" in wrong.context["form"].errors["content_key"][0]
