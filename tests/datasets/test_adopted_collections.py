"""A collection that somebody else filled becomes a corpus: copied, searched where it is, and never written to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from qdrant_client import QdrantClient, models

from datasets.foreign_index import ForeignCollection
from datasets.index import IndexUnavailable
from datasets.models import AdoptedCollection, Corpus, Document, Passage, Project, SourceFile, User
from datasets.services import adopting, corpora
from datasets.services.ingest import clear_corpus, ingest
from tests.datasets.adopting import TEXTS, adopt, adopting_page, at, fill, source_of
from tests.factories import make_corpus
from tests.fixtures_foreign_qdrant import ForeignQdrant

ClientOf = Callable[[User], Client]

# What is looked up for an event loop is looked up in a thread of its own, which sees only what is committed.
pytestmark = pytest.mark.django_db(transaction=True)

# -- adopting --------------------------------------------------------------------------------------------------------


def test_a_curator_adopts_a_collection_step_by_step(
    project: Project, teammate: User, client_of: ClientOf, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill(qdrant)
    fill(qdrant, "other")
    http, page = client_of(teammate), adopting_page(project)
    assert http.get(page).status_code == 200
    connected = http.post(page, {"url": foreign.url + "/", "key": ""})
    assert connected.status_code == 200
    assert list(connected.context["chosen"].fields["collection"].choices)[1:] == [
        ("court", "court"),
        ("other", "other"),
    ]
    looked = http.post(page, {"url": foreign.url, "collection": "court"})
    assert looked.status_code == 200
    form = looked.context["reading"]
    assert {name: form[name].value() for name in ("name", "content_key", "title_key", "id_key", "max_docs")} == {
        "name": "court", "content_key": "text", "title_key": "title", "id_key": "", "max_docs": 10_000,
    }  # fmt: skip
    shown = looked.content.decode()
    assert "3 points" in shown
    assert "4 dimensions, Cosine" in shown
    assert '<option value="ref">' in shown
    sent = {
        "url": foreign.url, "collection": "court", "looked_at": "court", "adopt": "1", "name": "Court",
        "content_key": "text", "title_key": "title", "id_key": "ref", "max_docs": "50", "vector": "",
    }  # fmt: skip
    made = http.post(page, sent)
    corpus = project.corpora.get()
    assert made["Location"] == reverse("generation:corpus-embedding", args=[project.slug, corpus.pk])
    adopted = corpus.adopted
    assert adopted is not None
    assert (adopted.url, adopted.collection, adopted.points, adopted.max_docs) == (foreign.url, "court", 3, 50)
    assert (adopted.vector, adopted.size, adopted.distance) == ("", 4, "Cosine")
    assert source_of(corpus).state == SourceFile.State.WAITING
    ingest(source_of(corpus).pk)
    assert "Copied" in http.get(at("corpus-detail", corpus)).content.decode()


def test_the_key_is_encrypted_never_shown_and_kept_for_its_own_address_alone(
    project: Project, owner: User, client_of: ClientOf, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill(qdrant)
    foreign.control(key="a-secret-key-of-theirs")
    http, page = client_of(owner), adopting_page(project)
    refused = http.post(page, {"url": foreign.url, "key": "wrong"})
    assert refused.status_code == 422
    assert "refuses the API key" in refused.content.decode()
    connected = http.post(page, {"url": foreign.url, "key": "a-secret-key-of-theirs"})
    assert "a-secret-key" not in connected.content.decode()
    sealed = connected.context["server"]["sealed"].value()
    assert http.post(page, {"url": foreign.url, "sealed": sealed}).context["chosen"] is not None
    elsewhere = foreign.url.replace("127.0.0.1", "localhost")
    assert http.post(page, {"url": elsewhere, "sealed": sealed}).status_code == 422
    sent = {"url": foreign.url, "sealed": sealed, "collection": "court", "looked_at": "court", "adopt": "1"}
    http.post(page, sent | {"name": "Court", "content_key": "text", "max_docs": "9"})
    corpus = project.corpora.get()
    assert corpus.adopted is not None
    assert b"secret" not in bytes(corpus.adopted.ciphertext)
    assert corpus.adopted.reveal() == "a-secret-key-of-theirs"
    ingest(source_of(corpus).pk)
    assert source_of(corpus).state == SourceFile.State.READY
    shown = http.get(at("corpus-detail", corpus)).content.decode()
    assert "…eirs" in shown
    assert "a-secret-key" not in shown


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ftp://example.org", "Enter an address such as"),
        ("file:///etc/passwd", "Enter an address such as"),
        ("unix:///tmp/x.sock", "Enter an address such as"),
        ("http://me:secret@localhost:6333", "Leave user and password out"),
        ("http://169.254.169.254", "reserved for this machine"),
        ("http://127.0.0.1:9", "does not answer (nothing answers there): check the address"),
        ("", "This field is required"),
    ],
)
def test_an_address_that_cannot_be_is_refused_beside_its_field(
    project: Project, owner: User, client_of: ClientOf, url: str, sentence: str
) -> None:
    answer = client_of(owner).post(adopting_page(project), {"url": url})
    assert answer.status_code == 422
    assert any(sentence in error for error in answer.context["server"].errors["url"])
    assert "secret" not in answer.context["server"].errors.as_text()


@pytest.mark.parametrize(
    "answer",
    ["<html>hello</html>", "[]", '{"result": 5}', '{"result": {"collections": [{}]}}', '{"result": null}', "\x00"],
)
def test_what_is_not_qdrant_is_told_so_and_its_words_are_kept_back(
    project: Project, owner: User, client_of: ClientOf, foreign: ForeignQdrant, answer: str
) -> None:
    foreign.control(answer=answer)
    page = client_of(owner).post(adopting_page(project), {"url": foreign.url})
    assert page.status_code == 422
    [error] = page.context["server"].errors["url"]
    assert "not" in error
    assert "Qdrant" in error
    assert "hello" not in error


def test_a_server_that_does_not_answer_in_time_is_not_waited_for(
    project: Project, owner: User, client_of: ClientOf, foreign: ForeignQdrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adopting, "PATIENCE", 0.3)
    foreign.control(delay=5)
    page = client_of(owner).post(adopting_page(project), {"url": foreign.url})
    assert page.context["server"].errors["url"] == [f"{foreign.url} did not answer within 0.3 s: check the address."]


def test_an_endless_answer_is_cut_off(
    project: Project, owner: User, client_of: ClientOf, foreign: ForeignQdrant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.foreign_index.LARGEST", 1000)
    foreign.control(answer="x" * 5_000)
    page = client_of(owner).post(adopting_page(project), {"url": foreign.url})
    assert "more than can be taken in" in page.context["server"].errors["url"][0]


def test_what_is_read_is_checked_against_the_collection(
    project: Project, owner: User, client_of: ClientOf, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill(qdrant)
    make_corpus(project, name="Taken")
    http, page = client_of(owner), adopting_page(project)
    sent = {
        "url": foreign.url, "collection": "court", "looked_at": "court", "adopt": "1", "name": "Court",
        "content_key": "text", "max_docs": "5",
    }  # fmt: skip
    wrong = [
        ({"content_key": "body"}, "content_key", "None of its first points has a text under “body”. There are text"),
        ({"content_key": ""}, "content_key", "required"),
        ({"vector": "title"}, "vector", "not one of the available choices"),
        ({"max_docs": "0"}, "max_docs", "greater than or equal to 1"),
        ({"score_threshold": "nan"}, "score_threshold", "Enter a number"),
        ({"name": "Taken"}, "name", "Another corpus has that name"),
    ]
    for change, field, sentence in wrong:
        answer = http.post(page, sent | change)
        assert answer.status_code == 422, change
        assert sentence in answer.context["reading"].errors[field][0], change
    gone = http.post(page, sent | {"collection": "nowhere"})
    assert gone.context["chosen"].errors["collection"] == ["There is no such collection: choose another."]
    assert project.corpora.count() == 1
    assert not AdoptedCollection.objects.exists()


def test_an_empty_server_and_an_empty_collection_are_told_apart(
    project: Project, owner: User, client_of: ClientOf, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    http, page = client_of(owner), adopting_page(project)
    nothing = http.post(page, {"url": foreign.url})
    assert nothing.context["server"].errors["url"] == ["There is no collection on that server yet: fill one first."]
    qdrant.create_collection("court", models.VectorParams(size=4, distance=models.Distance.DOT))
    sent = {"url": foreign.url, "collection": "court", "looked_at": "court", "adopt": "1"}
    empty = http.post(page, sent | {"name": "Court", "content_key": "text", "max_docs": "5"})
    assert "The collection is empty" in empty.content.decode()


def test_only_curators_adopt_and_strangers_find_nothing(
    project: Project,
    annotator: User,
    stranger: User,
    client_of: ClientOf,
    foreign: ForeignQdrant,
    qdrant: QdrantClient,
) -> None:
    fill(qdrant)
    assert client_of(annotator).get(adopting_page(project)).status_code == 403
    assert client_of(annotator).post(adopting_page(project), {"url": foreign.url}).status_code == 403
    assert client_of(stranger).post(adopting_page(project), {"url": foreign.url}).status_code == 404
    assert foreign.noted()["asked"] == []
    corpus = adopt(project, foreign)
    assert client_of(annotator).get(at("corpus-detail", corpus)).status_code == 200
    assert client_of(annotator).get(at("corpus-reading", corpus)).status_code == 403
    for name in ("corpus-detail", "corpus-reading", "document-list", "corpus-search"):
        assert client_of(stranger).get(at(name, corpus)).status_code == 404
    own = make_corpus(project)
    assert client_of(stranger).get(at("corpus-reading", own)).status_code == 404


# -- copying ---------------------------------------------------------------------------------------------------------


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
