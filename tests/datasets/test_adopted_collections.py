"""A collection that somebody else filled becomes a corpus, in three steps on one page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from qdrant_client import QdrantClient, models

from datasets.models import AdoptedCollection, Project, SourceFile, User
from datasets.services.collecting import adopting
from datasets.services.collecting.ingest import ingest
from tests.datasets.adopting import adopt, adopting_page, at, fill, source_of
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
