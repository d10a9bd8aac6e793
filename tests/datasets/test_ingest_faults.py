"""Readers die, are overtaken and find their servers gone; the rows and points end up the same."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from datasets.models import Corpus, Document, Passage, Project, SourceFile
from datasets.services.collecting import claims, clearing, corpora, intake
from datasets.services.collecting.ingest import ingest
from datasets.services.collecting.intake import IndexedIntake
from datasets.services.collecting.search import search_corpus
from tests.datasets.dying_reader import STAGES, Death, die, doomed
from tests.datasets.ingesting import CAT, DOG, LetterEmbedder, add, assert_consistent, point_count, read, search, texts
from tests.factories import make_corpus
from tests.workers import addresses

State = SourceFile.State


@pytest.fixture(autouse=True)
def _searched_by_words(settings: Settings) -> None:
    settings.EMBEDDER = "tests.datasets.ingesting.words_alone"


@pytest.fixture
def corpus(project: Project) -> Corpus:
    return make_corpus(project, chunk_size=200, chunk_overlap=20)


def table(animal: str, rows: int) -> str:
    return "id,text\n" + "".join(f"{number},The {animal} number {number} sleeps.\n" for number in range(rows))


def let_the_lease_run_out(source: SourceFile) -> None:
    past = timezone.now() - timedelta(seconds=1)
    assert SourceFile.objects.filter(pk=source.pk, lease_until__gt=timezone.now()).update(lease_until=past) == 1


# -- death ------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("stage", STAGES)
def test_a_reader_that_dies_is_followed_by_one_that_ends_the_same(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    monkeypatch.setattr(intake, "SLICE", 20)
    monkeypatch.setattr(clearing, "SOME", 20)
    read(add(corpus, "pets.csv", table("cat", 70)))
    other = read(add(corpus, "other.txt", DOG))
    source = add(corpus, "pets.csv", table("cow", 50))
    with monkeypatch.context() as patch:
        patch.setattr(*doomed(stage, die))
        with pytest.raises(Death):
            ingest(source.pk)
    ingest(source.pk)
    assert SourceFile.objects.get(pk=source.pk).state == State.READING
    let_the_lease_run_out(source)
    assert_consistent(read(source))
    expected = [f"The cow number {number} sleeps." for number in range(50)]
    assert texts(corpus) == sorted([*expected, DOG.strip()])
    assert search(corpus, "cat") == []
    other.refresh_from_db()
    assert_consistent(other)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("stage", ["between two slices", "between points and commit"])
def test_a_reader_that_is_killed_is_followed_by_one_that_ends_the_same(corpus: Corpus, stage: str) -> None:
    source = add(corpus, "pets.csv", table("cow", 500))
    command = [sys.executable, "-m", "tests.datasets.dying_reader", str(source.pk), stage]
    assert subprocess.run(command, env={**os.environ, **addresses()}, check=False).returncode == -signal.SIGKILL
    assert SourceFile.objects.get().state == State.READING
    let_the_lease_run_out(source)
    assert_consistent(read(source))
    assert len(set(texts(corpus))) == len(texts(corpus)) == 500


@pytest.mark.django_db
def test_a_file_that_kills_its_readers_is_given_up_after_the_third(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = add(corpus, "pets.txt", CAT)
    with monkeypatch.context() as patch:
        patch.setattr(*doomed("before reading", die))
        for _ in range(3):
            with pytest.raises(Death):
                ingest(source.pk)
            let_the_lease_run_out(source)
    source = read(source)
    assert source.state == State.FAILED
    assert "broke down three times" in source.error
    corpora.reread_file(source=source, user=None)
    assert_consistent(read(source))


# -- being overtaken --------------------------------------------------------------------------------------------------


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
    """Does something once, while a reader is about to write its first passages."""
    write_passages = IndexedIntake._write_passages
    acts = [act]

    def interrupted(self: IndexedIntake, rows: list[Passage], **options: Any) -> None:
        if acts:
            acts.pop()()
        write_passages(self, rows, **options)

    monkeypatch.setattr(IndexedIntake, "_write_passages", interrupted)


@pytest.mark.django_db
def test_a_file_changed_while_it_is_read_ends_as_the_new_one(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    source = add(corpus, "pets.txt", CAT)
    meanwhile(monkeypatch, lambda: add(corpus, "pets.txt", DOG))
    source = read(source)
    assert source.state == State.WAITING
    assert_consistent(read(source))
    assert texts(corpus) == [DOG.strip()]


@pytest.mark.django_db
def test_a_file_deleted_while_it_is_read_is_gone(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    source = add(corpus, "pets.txt", CAT)
    meanwhile(monkeypatch, lambda: corpora.delete_file(source=source, user=None))
    assert read(source).state == State.DELETING
    ingest(source.pk)
    assert not SourceFile.objects.exists()
    assert not Document.objects.exists()
    assert point_count(corpus) in (0, -1)


@pytest.mark.django_db
def test_a_reader_whose_lease_ran_out_writes_nothing_after_the_next_one(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = add(corpus, "pets.csv", table("cow", 250))

    def another_reads() -> None:
        let_the_lease_run_out(source)
        assert_consistent(read(source))

    meanwhile(monkeypatch, another_reads)
    finished = read(source)
    assert_consistent(finished)
    assert finished.attempts == 0


@pytest.mark.django_db(transaction=True)
def test_a_slow_reader_keeps_its_file(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "LEASE", timedelta(seconds=1))
    monkeypatch.setattr(claims, "RENEWAL", 0.1)
    source = add(corpus, "pets.txt", CAT)

    def another_tries_too_late() -> None:
        time.sleep(1.5)
        ingest(source.pk)

    meanwhile(monkeypatch, another_tries_too_late)
    source = read(source)
    assert_consistent(source)
    assert source.revision == 2


@pytest.mark.django_db
def test_progress_is_written_at_most_twice_a_second(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "SLICE", 1)
    source = add(corpus, "pets.csv", table("cow", 60))
    begun = time.monotonic()
    with CaptureQueriesContext(connection) as queries:
        assert_consistent(read(source))
    written = [query for query in queries if query["sql"].startswith("UPDATE") and "GREATEST" in query["sql"]]
    assert 1 <= len(written) <= 2 * (time.monotonic() - begun) + 1


@pytest.mark.django_db(transaction=True)
def test_four_readers_at_once_read_a_file_once(corpus: Corpus) -> None:
    source = add(corpus, "pets.csv", table("cow", 250))
    together([lambda: ingest(source.pk)] * 4)
    source.refresh_from_db()
    assert_consistent(source)
    assert source.revision == 2


@pytest.mark.django_db(transaction=True)
def test_uploads_of_one_name_at_once_make_one_file(corpus: Corpus) -> None:
    together([lambda text=text: add(corpus, "pets.txt", text) for text in (CAT, DOG, CAT * 2, DOG * 2)])
    source = SourceFile.objects.get()
    assert_consistent(read(source))
    assert source.file.storage.exists(source.file.name)
    stored = source.file.storage.listdir(f"corpora/{corpus.pk}")[1]
    assert stored == [source.file.name.rsplit("/")[-1]]


def together(acts: list[Callable[[], Any]]) -> None:
    def alone(act: Callable[[], Any]) -> None:
        try:
            act()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        for done in [pool.submit(alone, act) for act in acts]:
            done.result()


# -- servers that are gone --------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_file_waits_while_the_index_is_away_and_is_given_up_after_the_third_attempt(
    corpus: Corpus, settings: Settings
) -> None:
    address, settings.QDRANT_URL = settings.QDRANT_URL, "unix:///nowhere/at/all.sock"
    source = read(add(corpus, "pets.txt", CAT))
    assert source.state == State.WAITING
    assert "does not answer" in source.error
    assert read(source).attempts == 1
    let_the_lease_run_out(source)
    read(source)
    let_the_lease_run_out(source)
    source = read(source)
    assert source.state == State.FAILED
    assert "third attempt" in source.error
    settings.QDRANT_URL = address
    corpora.reread_file(source=source, user=None)
    assert_consistent(read(source))
    assert SourceFile.objects.get().error == ""


@pytest.mark.django_db
def test_a_file_whose_content_is_lost_says_so(corpus: Corpus) -> None:
    source = add(corpus, "pets.txt", CAT)
    source.file.storage.delete(source.file.name)
    source = read(source)
    assert source.state == State.FAILED
    assert "upload it again" in source.error


# -- vectors ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_passages_get_the_vectors_of_the_corpus_model(corpus: Corpus, settings: Settings) -> None:
    settings.EMBEDDER = "tests.datasets.ingesting.letters"
    assert_consistent(read(add(corpus, "pets.csv", table("cow", 250))))
    query = "pets, row 79\nThe cow number 77 sleeps."
    [vector] = asyncio.run(LetterEmbedder().embed([query]))
    hit = search_corpus(corpus=corpus, query=query, limit=3, vector=vector)[0]
    assert hit.passage.text == "The cow number 77 sleeps."
    assert hit.score == 1  # first by words and first by vector


@pytest.mark.django_db
def test_a_corpus_that_gets_a_model_is_indexed_anew_with_all_of_its_files(corpus: Corpus, settings: Settings) -> None:
    one, two = read(add(corpus, "one.txt", CAT)), read(add(corpus, "two.txt", DOG))
    settings.EMBEDDER = "tests.datasets.ingesting.letters"
    corpora.reread_file(source=one, user=None)
    assert {read(one).state, SourceFile.objects.get(pk=two.pk).state} == {State.WAITING}
    assert_two(read(one), read(two))
    settings.EMBEDDER = "tests.datasets.ingesting.words_alone"
    corpora.reread_corpus(corpus=corpus, user=None)
    read(two)
    assert_two(read(one), read(two))


def assert_two(one: SourceFile, two: SourceFile) -> None:
    assert_consistent(one)
    assert_consistent(two)
    assert point_count(one.corpus) == 2


@pytest.mark.django_db
def test_a_model_that_fails_is_named_and_asked_again(corpus: Corpus, settings: Settings) -> None:
    settings.EMBEDDER = "tests.datasets.ingesting.broken"
    source = read(add(corpus, "pets.txt", CAT))
    assert source.state == State.WAITING
    assert source.error == "The embedding model did not answer: connection refused"
    settings.EMBEDDER = "tests.datasets.ingesting.letters"
    let_the_lease_run_out(source)
    assert_consistent(read(source))
