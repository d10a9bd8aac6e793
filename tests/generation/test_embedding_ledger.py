"""What is asked of embedding models stands in the ledger, counts for runs and budgets, and is told when it waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.models import Sum
from django.test import Client
from django.urls import reverse

from datasets.models import Corpus, Project, User
from datasets.services.errors import Refused
from generation.engine.recipe import ModelChoice
from generation.models import Call, CorpusEmbedding, Endpoint, EndpointKey, Price, Run
from generation.services.monitoring.facts import facts_of
from generation.services.monitoring.metrics import ASIDE
from generation.services.running import runs
from generation.services.running.pulling import RUNS
from generation.services.servers.endpoints import delete_endpoint, save_endpoint
from generation.services.work import pullers
from tests.datasets.ingesting import add, read
from tests.factories import make_corpus
from tests.fixtures_model_server import RunningModelServer
from tests.generation.improving import ordered, worked
from tests.generation.pulled import pulled
from tests.generation.questions import searched
from tests.generation.runs import ROLES, expert, launched

ClientOf = Callable[[User], Client]

pytestmark = pytest.mark.django_db(transaction=True)
PUMP = "The pump is serviced every seven weeks by whoever holds the green key.\n\n" * 3
PRICE = Decimal(250_000)
"""Of a million tokens, so that a few of them are money."""


@pytest.fixture
def server(project: Project, owner: User, model_server: RunningModelServer) -> Endpoint:
    fields = {"name": "Server", "preset": "custom", "base_url": model_server.base_url, "chat_model": "big"}
    endpoint = save_endpoint(project=project, user=owner, values=fields | {"embedding_model": "small"})
    Price.objects.create(endpoint=endpoint, model="small", prompt=PRICE, completion=0)
    return endpoint


@pytest.fixture
def corpus(project: Project, server: Endpoint, model_server: RunningModelServer) -> Corpus:
    """Indexed with vectors, and nothing of that in the ledger or in what the server has counted."""
    corpus = make_corpus(project)
    CorpusEmbedding.objects.create(corpus=corpus, endpoint=server, model="small")
    read(add(corpus, "pump.txt", PUMP))
    Call.objects.all().delete()
    model_server.reset()
    return corpus


def asking(project: Project, server: Endpoint, corpus: Corpus, **changes: Any) -> Run:
    models = dict.fromkeys((*ROLES, "judge"), ModelChoice(endpoint=server.pk))
    fields = {
        "conversations": 3,
        "max_turns": 2,
        "models": models,
        "corpus": corpus.pk,
        "retrieval": {"when": "answer"},
    }
    return launched(project, endpoint=server, **(fields | changes))


def lines(**of: Any) -> list[Call]:
    return list(Call.objects.filter(operation="embedding", **of).order_by("pk"))


def worker_at(run: Run) -> threading.Thread:
    """One that is not started yet."""

    def pull() -> None:
        try:
            RUNS.pull(run.pk)
        finally:
            connections.close_all()

    return threading.Thread(target=pull)


def requests(server: RunningModelServer) -> int:
    return server.stats()["requests"].get("/v1/embeddings", 0)


def assert_adds_up(run: Run) -> None:
    """The run's counters are the sums of its lines."""
    sums = run.ledger.aggregate(Sum("prompt_tokens"), Sum("completion_tokens"), Sum("cost"))
    assert run.calls == run.ledger.count()
    assert (run.prompt_tokens, run.completion_tokens, run.cost) == tuple(sums.values())


def test_questions_that_are_searched_with_are_lines_of_the_run(
    project: Project, server: Endpoint, corpus: Corpus, model_server: RunningModelServer
) -> None:
    run = pulled(asking(project, server, corpus))
    assert (run.state, run.slots_done) == ("done", 3)
    rows = lines(run=run)
    assert 2 < len(rows) == requests(model_server) <= 1 + 3 * 2  # questions that come again are asked for once
    assert {(row.endpoint_id, row.model, row.slot, row.completion_tokens) for row in rows} == {
        (server.pk, "small", None, 0)
    }
    assert all(row.prompt_tokens > 0 and row.cost == row.prompt_tokens * PRICE / 1_000_000 for row in rows)
    assert run.ledger.aggregate(Sum("prompt_tokens"))["prompt_tokens__sum"] == model_server.stats()["prompt_tokens"]
    assert_adds_up(run)


def test_texts_that_are_judged_by_their_vectors_are_lines_of_the_run(
    project: Project, server: Endpoint, model_server: RunningModelServer
) -> None:
    models = dict.fromkeys(ROLES, ModelChoice(endpoint=server.pk))
    judge = {"weights": {"coherence": 1}, "embedding": {"endpoint": server.pk}}
    run = launched(project, endpoint=server, conversations=2, max_turns=2, models=models, judge=judge)
    Price.objects.update(prompt=1)  # a run pays what it was launched for
    run = pulled(run)
    rows = lines(run=run)
    assert len(rows) == requests(model_server) == 2
    assert sum(row.cost for row in rows) == sum(row.prompt_tokens for row in rows) * PRICE / 1_000_000 == run.cost
    assert_adds_up(run)


def test_a_model_that_the_corpus_was_given_since_costs_what_it_costs_today(
    project: Project, server: Endpoint, corpus: Corpus, model_server: RunningModelServer
) -> None:
    run = asking(project, server, corpus, conversations=1, max_turns=1)
    CorpusEmbedding.objects.update(model="tiny")
    Price.objects.create(endpoint=server, model="tiny", prompt=500_000, completion=0)
    run = pulled(run)
    assert {(row.model, row.cost) for row in lines(run=run)} == {
        ("tiny", Decimal(row.prompt_tokens) / 2) for row in lines(run=run)
    }


def test_embeddings_count_for_the_budget(project: Project, server: Endpoint, corpus: Corpus) -> None:
    run = asking(project, server, corpus, conversations=50, max_turns=1, concurrency=1, budget={"money": "1"})
    run = pulled(run)
    assert run.state == Run.State.STOPPED
    assert "budget" in run.reason
    assert 0 < run.slots_done < 50
    assert_adds_up(run)


def test_what_was_embedded_for_dialogs_that_came_to_nothing_is_paid_for_all_the_same(
    project: Project, server: Endpoint, corpus: Corpus, model_server: RunningModelServer
) -> None:
    """The run is cancelled while its questions are already searched with and its answers are not there yet."""
    run = asking(project, server, corpus, conversations=2, max_turns=1)
    slow = {"kind": "slow", "path": "/v1/chat/completions", "delay": 1.5}
    model_server.control(faults=[slow])
    worker = worker_at(run)
    worker.start()
    while requests(model_server) < 3 and worker.is_alive():
        time.sleep(0.05)
    Run.objects.filter(pk=run.pk).update(state=Run.State.CANCELLED)
    worker.join(30)
    run.refresh_from_db()
    assert run.slots_done == 0
    assert len(lines(run=run)) == requests(model_server) == 3
    assert_adds_up(run)


def test_a_landing_that_is_rolled_back_loses_no_line_and_writes_none_twice(
    project: Project,
    server: Endpoint,
    corpus: Corpus,
    model_server: RunningModelServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Somebody holds the ledger for a while, and the database does not wait for them as long."""
    run = asking(project, server, corpus, conversations=4, max_turns=2)
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" SET lock_timeout = 300')
    try:
        worker = worker_at(run)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE generation_call IN EXCLUSIVE MODE")
            worker.start()
            ends = time.monotonic() + 10
            while "lock timeout" not in caplog.text and time.monotonic() < ends:
                time.sleep(0.05)
        worker.join(30)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f'ALTER DATABASE "{name}" RESET lock_timeout')
    assert "lock timeout" in caplog.text
    run = pulled(run)
    assert (run.state, run.slots_done) == ("done", 4)
    assert len(lines(run=run)) == requests(model_server) > 4
    assert_adds_up(run)


def test_an_improvement_pays_for_what_it_embeds(
    project: Project, server: Endpoint, corpus: Corpus, model_server: RunningModelServer
) -> None:
    pulled(asking(project, server, corpus, conversations=2, max_turns=1))
    Call.objects.all().delete()
    model_server.reset()
    improvement = worked(ordered(project))
    assert improvement.state == "done"
    rows = lines(run=None, project=project)
    assert len(rows) == requests(model_server) > 0
    assert improvement.calls == Call.objects.count() > len(rows)
    assert improvement.cost == sum(row.cost for row in rows)


def test_reading_and_searching_a_corpus_are_lines_of_its_project(
    project: Project, server: Endpoint, model_server: RunningModelServer
) -> None:
    corpus = make_corpus(project)
    CorpusEmbedding.objects.create(corpus=corpus, endpoint=server, model="small")
    read(add(corpus, "pump.txt", PUMP))
    (line,) = lines(project=project, run=None)
    assert (line.endpoint, line.model, line.prompt_tokens) == (server, "small", model_server.stats()["prompt_tokens"])
    assert line.cost == line.prompt_tokens * PRICE / 1_000_000
    for _ in range(2):  # the second time it is known
        searched(corpus, "Who services the pump?")
    assert len(lines(project=project, run=None)) == requests(model_server) == 2


def test_an_endpoint_that_a_run_embeds_by_cannot_be_deleted_under_it(
    project: Project, server: Endpoint, owner: User, model_server: RunningModelServer
) -> None:
    fields = {"name": "Vectors", "preset": "custom", "base_url": model_server.base_url, "embedding_model": "small"}
    vectors = save_endpoint(project=project, user=owner, values=fields)
    judge = {"weights": {"coherence": 1}, "embedding": {"endpoint": vectors.pk}}
    run = launched(project, endpoint=server, conversations=1, judge=judge)
    with pytest.raises(Refused, match="has not ended"):
        delete_endpoint(endpoint=vectors, user=owner)
    runs.cancel_run(run=run, user=owner)
    delete_endpoint(endpoint=vectors, user=owner)


# -- waiting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "searched", [False, True], ids=["while the index is checked", "while questions are searched with"]
)
def test_an_embedding_server_that_wants_a_pause_is_told_on_the_runs_page(
    project: Project,
    server: Endpoint,
    corpus: Corpus,
    owner: User,
    client_of: ClientOf,
    model_server: RunningModelServer,
    searched: bool,
) -> None:
    page = reverse("generation:run-detail", args=[project.slug, asking(project, server, corpus, max_turns=1).pk])
    client, run, seen = client_of(owner), Run.objects.get(), False
    busy = {"kind": "status", "status": 429, "path": "/v1/embeddings", "retry_after": 1, "message": "Vectors later."}
    faults = [busy | {"count": 3}]
    model_server.control(latency=0.5, faults=[] if searched else faults)
    worker = worker_at(run)
    worker.start()
    while worker.is_alive():
        if searched and requests(model_server) == 1:
            model_server.control(latency=0, faults=faults)
        seen = seen or "Vectors later." in client.get(page).content.decode()
        time.sleep(0.05)
    run.refresh_from_db()
    assert seen
    assert run.slots_done == 3
    assert max(row.tries for row in lines(run=run)) > 1


def test_a_run_rests_while_the_embedding_models_keys_have_no_calls_left(
    project: Project, server: Endpoint, corpus: Corpus, owner: User, model_server: RunningModelServer
) -> None:
    fields = {"name": "Vectors", "preset": "custom", "base_url": model_server.base_url, "embedding_model": "small"}
    vectors = save_endpoint(project=project, user=owner, values=fields, key="sk-the-good-key-0001")
    EndpointKey.objects.filter(endpoint=vectors).update(hourly_limit=1)
    CorpusEmbedding.objects.update(endpoint=vectors)
    run = asking(project, server, corpus, conversations=2, max_turns=1)
    for _ in range(2):  # the one call goes to the check of the index; then nothing can be searched with, nor checked
        RUNS.pull(run.pk)
        run.refresh_from_db()
        assert (run.state, run.slots_done) == (Run.State.RUNNING, 0)
        assert "has made the calls that its limit allows" in pullers.trouble_of(run)
        assert pullers.rests(run)
        pullers.wake(run)
    EndpointKey.objects.update(hourly_limit=None)
    assert pulled(run).slots_done == 2


# -- what is said beforehand, and watched ------------------------------------------------------------------------------


def test_the_estimate_says_that_embeddings_come_on_top(
    project: Project, server: Endpoint, corpus: Corpus, teammate: User, client_of: ClientOf
) -> None:
    expert(project)
    client, other = client_of(teammate), make_corpus(project)
    said = dict(client.get(reverse("generation:run-new", args=[project.slug])).context["form"].as_posted().data)
    address = reverse("generation:run-estimate", args=[project.slug])
    page = client.post(address, said | {"corpus": corpus.pk}).content.decode()
    assert "Model calls" in page
    assert "Without embeddings by small" in page
    page = client.post(address, said | {"corpus": other.pk}).content.decode()
    assert "Model calls" in page
    assert "Without embeddings" not in page


def test_embeddings_do_not_thin_out_the_means_that_alerts_look_at(
    project: Project, server: Endpoint, corpus: Corpus
) -> None:
    run = pulled(asking(project, server, corpus, conversations=1, max_turns=1))
    facts = facts_of([run], run.created, aside=ASIDE)[run.pk]
    spoken = run.ledger.exclude(operation="embedding")
    assert facts.calls == spoken.count() < run.calls
    assert facts.prompt == spoken.aggregate(Sum("prompt_tokens"))["prompt_tokens__sum"] < run.prompt_tokens
