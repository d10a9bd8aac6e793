"""What a model made of a passage is kept: reading the same text again costs nothing, and never mixes two models."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.db.models import Sum
from django.utils import timezone

from datasets.models import Corpus, Project, SourceFile, User
from datasets.services.collecting import corpora
from datasets.services.errors import Refused
from generation.models import Call, CorpusEmbedding, Endpoint, PassageVector
from generation.services.servers.endpoints import save_endpoint
from generation.tasks import forget_vectors
from tests.datasets.ingesting import add, assert_consistent, read
from tests.factories import make_corpus
from tests.fixtures_model_server import RunningModelServer
from tests.generation.questions import searched
from tests.workers import addresses

# What is looked up for an event loop is looked up in a thread of its own, which sees only what is committed.
pytestmark = pytest.mark.django_db(transaction=True)
State = SourceFile.State


def endpoint_of(project: Project, owner: User, server: RunningModelServer, name: str = "Vectors") -> Endpoint:
    fields = {"name": name, "preset": "custom", "base_url": server.base_url, "embedding_model": "embed-1"}
    return save_endpoint(project=project, user=owner, values=fields)


@pytest.fixture
def endpoint(project: Project, owner: User, model_server: RunningModelServer) -> Endpoint:
    return endpoint_of(project, owner, model_server)


@pytest.fixture
def corpus(project: Project, endpoint: Endpoint) -> Corpus:
    corpus = make_corpus(project, chunk_size=200, chunk_overlap=20)
    CorpusEmbedding.objects.create(corpus=corpus, endpoint=endpoint, model="embed-1")
    return corpus


BULL = "A bull stands awake."


def table(rows: int, **changed: str) -> str:
    """Cows, and a bull before them. Rows are changed by their number: r7="…"."""
    texts = [changed.get(f"r{number}", f"The cow number {number} sleeps.") for number in range(1, rows)]
    return "id,text\n" + "".join(f"{number},{text}\n" for number, text in enumerate([BULL, *texts]))


def read_to_the_end(source: SourceFile) -> SourceFile:
    """Also where the index is made anew, which has every file read once more."""
    source = read(source)
    while source.state == State.WAITING and not source.error:
        source = read(source)
    assert_consistent(source)
    return source


def asked(server: RunningModelServer) -> list[str]:
    """Every text that vectors were asked for, in the order of the requests."""
    return [text for request in server.requests() for text in request["body"]["input"]]


def read_again(corpus: Corpus, server: RunningModelServer) -> Sequence[str]:
    """What is asked for when all files are read again."""
    server.reset()
    corpora.reread_corpus(corpus=corpus, user=None)
    for source in corpus.files.all():
        read_to_the_end(source)
    return asked(server)


def found(corpus: Corpus) -> bool:
    """Whether the bull is the first that is found, by its words and by its vector."""
    (hit,) = searched(corpus, f"cows, row 2\n{BULL}")
    return (hit.passage.text, hit.score) == (BULL, 1)


def test_reading_a_file_again_asks_for_nothing(corpus: Corpus, model_server: RunningModelServer) -> None:
    read_to_the_end(add(corpus, "cows.csv", table(300)))
    assert len(asked(model_server)) == len(set(asked(model_server))) == PassageVector.objects.count() == 300
    assert read_again(corpus, model_server) == []
    assert found(corpus)


def test_a_new_version_asks_for_what_is_new_in_it(corpus: Corpus, model_server: RunningModelServer) -> None:
    read_to_the_end(add(corpus, "cows.csv", table(150)))
    model_server.reset()
    read_to_the_end(add(corpus, "cows.csv", table(151, r7="The goat eats grass.")))
    assert sorted(text.splitlines()[-1] for text in asked(model_server)) == [
        "The cow number 150 sleeps.", "The goat eats grass.",
    ]  # fmt: skip


def test_texts_that_come_twice_are_asked_for_once(corpus: Corpus, model_server: RunningModelServer) -> None:
    same = "id,text\n" + "".join("1,The cow sleeps.\n" for _ in range(3))
    for name in ("one.csv", "two.csv"):
        read_to_the_end(add(corpus, name, same))
    assert len(asked(model_server)) == len(set(asked(model_server)))


def test_vectors_stay_with_their_endpoint_and_model(
    project: Project, corpus: Corpus, endpoint: Endpoint, owner: User, model_server: RunningModelServer
) -> None:
    read_to_the_end(add(corpus, "cows.csv", table(3)))
    CorpusEmbedding.objects.update(model="embed-2")
    assert len(read_again(corpus, model_server)) == 3
    CorpusEmbedding.objects.update(model="embed-1", endpoint=endpoint_of(project, owner, model_server, "Others"))
    assert len(read_again(corpus, model_server)) == 3
    assert PassageVector.objects.count() == 9
    CorpusEmbedding.objects.update(endpoint=endpoint)
    assert read_again(corpus, model_server) == []
    project.endpoints.get(name="Others").delete()
    assert set(PassageVector.objects.values_list("endpoint", "model")) == {
        (endpoint.pk, "embed-1"), (endpoint.pk, "embed-2"),
    }  # fmt: skip


def test_an_endpoint_that_has_moved_is_asked_anew(
    project: Project, corpus: Corpus, endpoint: Endpoint, owner: User, model_server: RunningModelServer
) -> None:
    read_to_the_end(add(corpus, "cows.csv", table(3)))
    elsewhere = {"base_url": model_server.base_url.replace("127.0.0.1", "localhost")}
    assert elsewhere["base_url"] != endpoint.base_url
    save_endpoint(project=project, user=owner, values=elsewhere, endpoint=endpoint)
    assert len(read_again(corpus, model_server)) == 3


def test_a_reader_that_is_killed_has_not_paid_in_vain(corpus: Corpus, model_server: RunningModelServer) -> None:
    source = add(corpus, "cows.csv", table(500))
    command = [sys.executable, "-m", "tests.datasets.dying_reader", str(source.pk), "between two slices"]
    assert subprocess.run(command, env={**os.environ, **addresses()}, check=False).returncode == -signal.SIGKILL
    before = asked(model_server)
    assert len(before) == 400
    SourceFile.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    read_to_the_end(source)
    assert sorted(asked(model_server)) == sorted(set(asked(model_server)))
    assert len(asked(model_server)) == 500
    paid = Call.objects.filter(operation="embedding").aggregate(Sum("prompt_tokens"))["prompt_tokens__sum"]
    assert paid == model_server.stats()["prompt_tokens"]


def test_requests_that_were_answered_are_kept_when_a_later_one_fails(
    corpus: Corpus, model_server: RunningModelServer
) -> None:
    source = add(corpus, "cows.csv", table(180))
    model_server.control(keys=["right"])  # refuses everybody, which is not tried again
    assert "key" in read(source).error.lower()
    assert (PassageVector.objects.count(), Call.objects.count()) == (0, 0)
    model_server.control(keys=None)
    SourceFile.objects.update(lease_until=None)
    read_to_the_end(source)
    assert [call.prompt_tokens > 0 for call in Call.objects.all()] == [True, True]


# -- a model that has changed behind its name -------------------------------------------------------------------------


def test_a_fresh_vector_of_another_length_has_all_of_them_made_anew(
    corpus: Corpus, model_server: RunningModelServer
) -> None:
    read_to_the_end(add(corpus, "cows.csv", table(250)))
    model_server.reset()
    model_server.control(dimension=32)
    source = add(corpus, "cows.csv", table(250, r230="The goat eats grass."))  # in the second slice
    read_to_the_end(source)
    assert {len(bytes(row.vector)) for row in PassageVector.objects.all()} == {4 * 32}
    assert {text.splitlines()[-1] for text in asked(model_server)} == {
        BULL, "The goat eats grass.", *(f"The cow number {n} sleeps." for n in range(1, 250) if n != 230),
    }  # fmt: skip
    assert found(corpus)


def test_a_search_that_does_not_fit_any_more_is_mended_by_reading_again(
    corpus: Corpus, model_server: RunningModelServer
) -> None:
    read_to_the_end(add(corpus, "cows.csv", table(5)))
    model_server.control(dimension=32)
    with pytest.raises(Refused):
        searched(corpus, "Who is awake?")
    corpora.reread_corpus(corpus=corpus, user=None)
    for source in corpus.files.all():
        read_to_the_end(source)
    assert found(corpus)


def test_vectors_of_two_models_that_were_kept_at_the_same_moment_are_not_mixed(
    corpus: Corpus, model_server: RunningModelServer
) -> None:
    read_to_the_end(add(corpus, "cows.csv", table(5)))
    row = PassageVector.objects.latest("pk")
    row.vector = bytes(4 * 32)
    row.save()
    assert len(read_again(corpus, model_server)) == 5
    assert {len(bytes(row.vector)) for row in PassageVector.objects.all()} == {4 * 64}
    assert found(corpus)


# -- how long they stay -----------------------------------------------------------------------------------------------


def days_ago(days: int) -> None:
    PassageVector.objects.update(used=timezone.localdate() - timedelta(days=days))


def test_vectors_that_nobody_reads_for_a_month_are_forgotten(corpus: Corpus, model_server: RunningModelServer) -> None:
    read_to_the_end(add(corpus, "cows.csv", table(4)))
    days_ago(30)
    forget_vectors()
    assert PassageVector.objects.count() == 4
    days_ago(31)
    forget_vectors()
    assert PassageVector.objects.count() == 0
    assert len(read_again(corpus, model_server)) == 4


def test_reading_again_keeps_them_for_another_month(corpus: Corpus, model_server: RunningModelServer) -> None:
    read_to_the_end(add(corpus, "cows.csv", table(4)))
    days_ago(29)
    assert read_again(corpus, model_server) == []
    assert set(PassageVector.objects.values_list("used", flat=True)) == {timezone.localdate()}
