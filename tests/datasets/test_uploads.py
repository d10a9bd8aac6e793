"""Whole folders are uploaded with their paths, and rows are read by the keys that a person chose."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from datasets.models import Corpus, Document, Project, SourceFile, User
from datasets.services.collecting.ingest import ingest
from tests.datasets.ingesting import CAT, DOG
from tests.factories import make_corpus

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _searched_by_words(settings: Settings) -> None:
    settings.EMBEDDER = "tests.datasets.ingesting.words_alone"


@pytest.fixture
def corpus(project: Project) -> Corpus:
    return make_corpus(project)


@pytest.fixture
def http(client: Client, teammate: User) -> Client:
    client.force_login(teammate)
    return client


def at(name: str, corpus: Corpus, *more: int) -> str:
    return reverse(f"datasets:{name}", args=[corpus.project.slug, corpus.pk, *more])


def read_all(corpus: Corpus) -> None:
    for source in corpus.files.open():
        ingest(source.pk)


def test_files_of_a_folder_keep_their_paths(corpus: Corpus, http: Client) -> None:
    paths = [
        "manual/one/notes.txt",
        "manual/two/notes.txt",
        "manual/one/.DS_Store",
        "manual/../../x\\..\\y/\x00z/a.txt",
    ]
    names = ["notes.txt", "notes.txt", ".DS_Store", "a.txt"]
    files = [SimpleUploadedFile(name, f"The text {n}.".encode()) for n, name in enumerate(names)]
    http.post(at("corpus-upload", corpus), {"folder": files, "paths": json.dumps(paths)})
    found = sorted(corpus.files.values_list("name", flat=True))
    assert found == ["manual/one/notes.txt", "manual/two/notes.txt", "manual/x/y/z/a.txt"]
    read_all(corpus)
    assert Document.objects.filter(title="manual/two/notes").exists()


@pytest.mark.parametrize("paths", ["", "{", "5", '["a/x.txt"]', '["a/x.txt", "b/x.txt", "c/x.txt"]'])
def test_paths_that_do_not_fit_the_files_are_not_used_and_no_file_replaces_another(
    corpus: Corpus, http: Client, paths: str
) -> None:
    files = [SimpleUploadedFile("x.txt", CAT.encode()), SimpleUploadedFile("x.txt", DOG.encode())]
    page = http.post(at("corpus-upload", corpus), {"files": files, "paths": paths}, follow=True).content.decode()
    assert "Two files of this name came at once" in page
    assert corpus.files.get().name == "x.txt"
    read_all(corpus)
    assert Document.objects.get().text == CAT.strip()


def test_a_jsonl_file_is_read_by_the_keys_that_a_person_chose(corpus: Corpus, http: Client) -> None:
    row = b'{"ref": "r-1", "head": "One", "body": "It sleeps.", "mood": "calm"}\n'
    sent = {"content_key": "body", "title_key": "head", "id_key": "ref", "files": SimpleUploadedFile("pets.jsonl", row)}
    http.post(at("corpus-upload", corpus), sent)
    read_all(corpus)
    document = Document.objects.get()
    assert (document.external_id, document.title, document.metadata) == ("r-1", "One", {"ref": "r-1", "mood": "calm"})
    page = http.get(at("document-detail", corpus, document.pk)).content.decode()
    assert "<dt>Id</dt><dd>r-1</dd>" in page
    assert "<dt>mood</dt><dd>calm</dd>" in page
    source = SourceFile.objects.get()
    http.post(at("corpus-file-reread", corpus, source.pk), {"as_before": "1"})
    source.refresh_from_db()
    assert source.options == {"content_key": "body", "title_key": "head", "id_key": "ref"}
    shown = http.get(at("corpus-file", corpus, source.pk)).context["form"]
    assert list(shown.fields) == ["content_key", "title_key", "id_key", "drop_others"]
    http.post(at("corpus-file-reread", corpus, source.pk), {"content_key": "body", "drop_others": "on"})
    read_all(corpus)
    document = Document.objects.get()
    assert (document.external_id, document.metadata) == ("", {})
