"""A stored file becomes documents, passages and points, and an unreadable one says why."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django import Settings

from datasets import tasks
from datasets.models import Activity, Corpus, Document, Passage, Project, SourceFile, User
from datasets.services.collecting import corpora
from datasets.services.collecting.ingest import clear_corpus, ingest
from tests.datasets.ingesting import CAT, DOG, add, assert_consistent, point_count, read, search, texts
from tests.factories import make_corpus

pytestmark = pytest.mark.django_db
State = SourceFile.State


@pytest.fixture(autouse=True)
def _searched_by_words(settings: Settings) -> None:
    settings.EMBEDDER = "tests.datasets.ingesting.words_alone"


@pytest.fixture
def corpus(project: Project) -> Corpus:
    return make_corpus(project, chunk_size=200, chunk_overlap=20)


def test_a_text_becomes_one_document_whose_passages_are_found(corpus: Corpus) -> None:
    source = read(add(corpus, "animals.txt", CAT * 10 + DOG))
    assert_consistent(source)
    assert source.document_count == 1
    assert source.passage_count > 2
    assert "postman" in search(corpus, "postman")[0].passage.text


def test_every_row_of_a_table_becomes_a_document(corpus: Corpus) -> None:
    source = read(add(corpus, "pets.csv", "title,text,weight\nCat,It sleeps.,4\nDog,It waits.,20\n"))
    assert_consistent(source)
    rows = source.documents.values_list("title", "text", "metadata")
    assert list(rows) == [("Cat", "It sleeps.", {"weight": "4"}), ("Dog", "It waits.", {"weight": "20"})]


def test_the_column_is_the_one_that_was_asked_for(corpus: Corpus) -> None:
    source = add(corpus, "pets.csv", "text,notes\nIt sleeps.,very quiet\n", column="notes")
    assert_consistent(read(source))
    assert texts(corpus) == ["very quiet"]


def test_changing_the_column_replaces_the_passages(corpus: Corpus) -> None:
    source = read(add(corpus, "pets.jsonl", json.dumps({"text": "It sleeps.", "notes": "very quiet"})))
    corpora.reread_file(source=source, user=None, options={"content_key": "notes"})
    assert_consistent(read(source))
    assert texts(corpus) == ["very quiet"]
    assert search(corpus, "sleeps") == []


def test_rows_that_cannot_be_read_are_named_and_the_others_stay(corpus: Corpus) -> None:
    rows = [json.dumps({"text": f"Row {number}"}) for number in range(60)]
    broken = ["{no json"] * 55
    source = read(add(corpus, "rows.jsonl", "\n".join([*rows, *broken])))
    assert_consistent(source)
    assert source.document_count == 60
    assert source.problem_count == 55
    assert len(source.problems) == 50
    assert source.problems[0][0] == "line 61"
    assert "JSON" in source.problems[0][1]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.pdf", b"", "empty"),
        ("letter.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old Word"),
        ("old.wpd", b"\xffWPC" + bytes(100), "WordPerfect"),
        ("broken.pdf", b"%PDF-1.4\nnothing follows", "PDF"),
        ("photo.txt", b"\x89PNG\r\n\x1a\n" + bytes(100), "picture"),
        ("rows.jsonl", b'{"number": 1}\n', "text"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_no_other_suffers(
    corpus: Corpus, name: str, content: bytes, words: str
) -> None:
    good = add(corpus, "good.txt", CAT)
    bad = read(add(corpus, name, content))
    assert bad.state == State.FAILED
    assert words in bad.error
    assert bad.error.rstrip().endswith((".", "”"))
    assert (bad.document_count, bad.passage_count, bad.lease_until) == (0, 0, None)
    assert_consistent(read(good))


def test_an_unreadable_replacement_keeps_what_was_read_before(corpus: Corpus) -> None:
    read(add(corpus, "pets.txt", CAT))
    source = read(add(corpus, "pets.txt", b""))
    assert source.state == State.FAILED
    assert "empty" in source.error
    assert "kept" in source.error
    assert source.passage_count == Passage.objects.filter(document__source=source).count() == 1
    assert search(corpus, "windowsill")


def test_nul_bytes_and_other_encodings_are_stored_as_text(corpus: Corpus) -> None:
    assert_consistent(read(add(corpus, "nul.txt", b"one\x00two " + CAT.encode() * 3)))
    assert_consistent(read(add(corpus, "latin.txt", "Ein schöner Käfer für Zoë, très élégant".encode("latin-1"))))
    assert any("Käfer" in text for text in texts(corpus))
    assert not any("\x00" in text for text in texts(corpus))


def test_a_changed_file_replaces_its_documents_passages_and_points(corpus: Corpus) -> None:
    other = read(add(corpus, "other.txt", "The parrot speaks."))
    read(add(corpus, "pets.csv", "id,text\na,The cat sleeps.\nb,The dog waits.\n"))
    kept = Document.objects.get(key="a").passages.get()
    source = read(add(corpus, "pets.csv", "id,text\na,The cat purrs.\nc,The cow chews.\n"))
    assert_consistent(source)
    assert texts(corpus) == ["The cat purrs.", "The cow chews.", "The parrot speaks."]
    assert search(corpus, "dog") == []
    assert search(corpus, "purrs")[0].passage.id == kept.pk
    other.refresh_from_db()
    assert_consistent(other)


def test_a_document_that_got_shorter_loses_its_last_passages(corpus: Corpus) -> None:
    read(add(corpus, "pets.txt", CAT * 20 + DOG))
    source = read(add(corpus, "pets.txt", CAT * 4))
    assert_consistent(source)
    assert search(corpus, "postman") == []


def test_cutting_the_corpus_otherwise_reads_every_file_again(corpus: Corpus, owner: User) -> None:
    files = [read(add(corpus, f"{number}.txt", CAT * 12)) for number in range(2)]
    before = [source.passage_count for source in files]
    changed = corpora.update_corpus(
        corpus=corpus, name=corpus.name, description="", chunk_size=400, chunk_overlap=0, user=owner
    )
    assert changed
    for source, count in zip(files, before, strict=True):
        source.refresh_from_db()
        assert source.state == State.WAITING
        again = read(source)
        assert_consistent(again)
        assert again.passage_count < count


def test_changing_the_name_of_a_corpus_reads_nothing_again(corpus: Corpus, owner: User) -> None:
    source = read(add(corpus, "pets.txt", CAT))
    sizes = {"chunk_size": corpus.chunk_size, "chunk_overlap": corpus.chunk_overlap}
    assert not corpora.update_corpus(corpus=corpus, name="Animals", description="", user=owner, **sizes)
    source.refresh_from_db()
    assert_consistent(source)


def test_reading_twice_changes_nothing(corpus: Corpus) -> None:
    source = read(add(corpus, "pets.txt", CAT * 10))
    rows = set(Passage.objects.values_list("pk", "text"))
    ingest(source.pk)
    assert SourceFile.objects.get(pk=source.pk).revision == source.revision
    corpora.reread_file(source=source, user=None)
    assert_consistent(read(source))
    assert set(Passage.objects.values_list("pk", "text")) == rows


def test_a_file_that_somebody_holds_is_left_to_them(corpus: Corpus) -> None:
    source = add(corpus, "pets.txt", CAT)
    later = timezone.now() + timedelta(seconds=30)
    SourceFile.objects.filter(pk=source.pk).update(state=State.READING, lease_until=later)
    ingest(source.pk)
    assert not Document.objects.exists()
    SourceFile.objects.filter(pk=source.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert_consistent(read(source))


def test_a_deleted_file_takes_everything_with_it(corpus: Corpus, owner: User) -> None:
    stays = read(add(corpus, "stays.txt", DOG))
    goes = read(add(corpus, "goes.txt", CAT * 10))
    path = Path(goes.file.path)
    corpora.delete_file(source=goes, user=owner)
    assert not read_or_none(goes)
    assert not path.exists()
    assert search(corpus, "windowsill") == []
    assert_consistent(stays)
    assert "goes.txt" in Activity.objects.first().text


def read_or_none(source: SourceFile) -> SourceFile | None:
    ingest(source.pk)
    return SourceFile.objects.filter(pk=source.pk).first()


def test_a_file_uploaded_again_while_it_is_deleted_stays(corpus: Corpus, owner: User) -> None:
    source = read(add(corpus, "pets.txt", CAT))
    corpora.delete_file(source=source, user=owner)
    source = read(add(corpus, "pets.txt", CAT))
    assert_consistent(source)
    assert source.file.storage.exists(source.file.name)


def test_a_deleted_corpus_leaves_no_rows_no_files_and_no_collection(corpus: Corpus, owner: User) -> None:
    paths = [Path(read(add(corpus, f"{number}.txt", CAT)).file.path) for number in range(3)]
    corpora.delete_corpus(corpus=corpus, user=owner)
    assert not Corpus.objects.filter(pk=corpus.pk).exists()
    make_corpus(corpus.project, name=corpus.name)
    clear_corpus(corpus.pk)
    assert not Corpus.with_deleted.filter(pk=corpus.pk).exists()
    assert not Passage.objects.exists()
    assert not any(path.exists() for path in paths)
    assert point_count(corpus) == -1


def test_a_deleted_corpus_waits_for_the_reader_of_its_last_file(corpus: Corpus, owner: User) -> None:
    source = add(corpus, "pets.txt", CAT)
    corpora.delete_corpus(corpus=corpus, user=owner)
    later = timezone.now() + timedelta(seconds=30)
    SourceFile.objects.filter(pk=source.pk).update(lease_until=later)
    clear_corpus(corpus.pk)
    assert Corpus.with_deleted.filter(pk=corpus.pk).exists()
    SourceFile.objects.filter(pk=source.pk).update(lease_until=None)
    clear_corpus(corpus.pk)
    assert not Corpus.with_deleted.filter(pk=corpus.pk).exists()


def test_the_same_content_under_two_names_is_two_files(corpus: Corpus, owner: User) -> None:
    one, two = read(add(corpus, "one.txt", CAT)), read(add(corpus, "two.txt", CAT))
    corpora.delete_file(source=one, user=owner)
    assert not read_or_none(one)
    assert_consistent(two)
    assert two.file.storage.exists(two.file.name)


def test_the_tick_reminds_workers_of_what_is_open_and_of_nothing_else(
    corpus: Corpus, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = read(add(corpus, "ready.txt", CAT))
    held, lapsed, waiting, deleting = (add(corpus, f"{name}.txt", CAT) for name in ("a", "b", "c", "d"))
    now = timezone.now()
    SourceFile.objects.filter(pk=held.pk).update(state=State.READING, lease_until=now + timedelta(seconds=30))
    SourceFile.objects.filter(pk=lapsed.pk).update(state=State.READING, lease_until=now - timedelta(seconds=30))
    corpora.delete_file(source=deleting, user=owner)
    gone = make_corpus(corpus.project)
    corpora.delete_corpus(corpus=gone, user=owner)
    sent: list[tuple[str, int]] = []
    for task in (tasks.ingest_file, tasks.clear_corpus):
        monkeypatch.setattr(task, "apply_async", lambda args, name=task.__name__, **_: sent.append((name, *args)))
    tasks.tick()
    expected = {("ingest_file", source.pk) for source in (lapsed, waiting, deleting)} | {("clear_corpus", gone.pk)}
    assert set(sent) == expected
    assert ("ingest_file", ready.pk) not in sent
