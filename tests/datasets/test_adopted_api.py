"""Adopted collections, reading options and embedding models through the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from pytest_django import DjangoCaptureOnCommitCallbacks
from qdrant_client import QdrantClient

from datasets.models import AdoptedCollection, Project, SourceFile, User
from datasets.services.collecting.ingest import ingest
from generation.api import embeddings
from tests.api_program import Program, refusal
from tests.datasets.adopting import adopt, embedding_endpoint, fill, fill_alike
from tests.factories import make_corpus
from tests.fixtures_foreign_qdrant import ForeignQdrant
from tests.fixtures_model_server import RunningModelServer
from tests.generation.questions import carry_out_all, working

pytestmark = pytest.mark.django_db(transaction=True)
CORPORA = "/projects/handbook/corpora"


@pytest.fixture
def program(teammate: User) -> Program:
    return Program.of(teammate)


def wanted(foreign: ForeignQdrant, **more: Any) -> dict[str, Any]:
    return {"name": "Court", "url": foreign.url, "collection": "court", **more}


def test_a_program_adopts_a_collection_and_what_it_left_open_is_found_out(
    project: Project, program: Program, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill(qdrant)
    foreign.control(key="secret-key-of-theirs")
    made = program.post(f"{CORPORA}/adopted", wanted(foreign, api_key="secret-key-of-theirs"))
    assert made["adopted"] == {
        "url": foreign.url, "collection": "court", "content_key": "text", "title_key": "title", "id_key": "",
        "max_docs": 10_000, "points": 3, "vector": "", "size": 4, "distance": "Cosine", "score_threshold": None,
    }  # fmt: skip
    assert made["open_files"] == 1
    ingest(SourceFile.objects.get().pk)
    assert program.get(f"{CORPORA}/{made['id']}")["documents"] == 3
    [listed] = program.get(CORPORA)["items"]
    assert listed["adopted"]["collection"] == "court"
    again = program.post(f"{CORPORA}/{made['id']}/reread", {})
    assert again["open_files"] == 1
    [document, *_] = program.get(f"{CORPORA}/{made['id']}/documents")["items"]
    assert document["external_id"] == "1"


def test_what_cannot_be_adopted_is_refused_with_the_field(
    project: Project, program: Program, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill(qdrant)
    wrong = [
        ({"url": "file:///etc/passwd"}, "Enter an address such as"),
        ({"url": "http://[fe80::1]:6333"}, "reserved for this machine"),
        ({"collection": "nowhere"}, "There is no such collection"),
        ({"content_key": "body"}, "None of its first points has a text under “body”"),
        ({"vector": "dense"}, "choose among the one without a name"),
    ]
    for change, sentence in wrong:
        assert sentence in str(refusal(program.call("POST", f"{CORPORA}/adopted", wanted(foreign, **change)), 422))
    assert not AdoptedCollection.objects.exists()


def test_a_program_chooses_the_model_that_embeds_questions(
    project: Project,
    program: Program,
    stranger: User,
    foreign: ForeignQdrant,
    qdrant: QdrantClient,
    model_server: RunningModelServer,
) -> None:
    fill_alike(qdrant)
    corpus = adopt(project, foreign)
    endpoint = embedding_endpoint(project, model_server)
    place = f"{CORPORA}/{corpus.pk}/embedding"
    assert program.get(place) == {"endpoint": None, "model": ""}
    with working():
        chosen = program.call("PUT", place, {"endpoint": endpoint.pk})
        [hit, *_] = program.get(f"{CORPORA}/{corpus.pk}/search", q="The dog waits at the garden gate")
    assert chosen.json() == program.get(place) == {"endpoint": endpoint.pk, "model": "embed-1"}
    assert hit["document"] == corpus.documents.get(key="2").pk
    model_server.control(dimension=32)
    with working():
        misfit = program.call("PUT", place, {"endpoint": endpoint.pk, "model": "embed-2"})
    assert "have 64 dimensions and those of “embed-2” have 32" in str(refusal(misfit, 422))
    refusal(Program.of(stranger).call("PUT", place, {"endpoint": endpoint.pk}), 404)


def test_a_program_is_told_when_a_model_was_not_tried_out_in_time(
    project: Project,
    program: Program,
    foreign: ForeignQdrant,
    qdrant: QdrantClient,
    model_server: RunningModelServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embeddings, "PATIENCE", 0.2)
    fill_alike(qdrant)
    corpus, endpoint = adopt(project, foreign), embedding_endpoint(project, model_server)
    place = f"{CORPORA}/{corpus.pk}/embedding"
    late = refusal(program.call("PUT", place, {"endpoint": endpoint.pk}), 422)
    assert "did not answer within 0.2 s" in str(late)
    carry_out_all()
    assert program.get(place)["model"] == "embed-1"


def test_a_jsonl_file_is_read_by_the_keys_that_a_program_names(
    project: Project, program: Program, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    corpus = make_corpus(project)
    rows = b'{"ref": "r-1", "name": "One", "body": "The text.", "court": "x"}\n'
    file = SimpleUploadedFile("cases.jsonl", rows)
    chosen = {"content_key": "body", "title_key": "name", "id_key": "ref", "drop_others": "true"}
    answer = program.upload(f"{CORPORA}/{corpus.pk}/files", files=[file], **chosen)
    assert answer.json()[0]["file"]["options"] == chosen | {"drop_others": "yes"}
    ingest(corpus.files.get().pk)
    [document] = program.get(f"{CORPORA}/{corpus.pk}/documents")["items"]
    assert (document["external_id"], document["title"], document["key"]) == ("r-1", "One", "r-1")
    assert program.get(f"{CORPORA}/{corpus.pk}/documents/{document['id']}")["metadata"] == {}
