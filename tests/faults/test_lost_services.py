"""The other services go away for a moment, or lose what they had."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest
from django.conf import settings
from django.db import connection

from datasets import pulse
from datasets.models import Conversation, Document, Passage, SourceFile
from datasets.services import corpora
from generation.models import CorpusEmbedding, Run
from tests.datasets.ingesting import read
from tests.faults.stage import Stage, assert_whole, landed, state_of, wait_for, wait_for_state
from tests.workers import Worker


def our_process(*words: str) -> psutil.Process:
    """The one process that this test session started for itself with these words in its command line."""
    found = [
        process
        for process in psutil.Process().children(recursive=True)
        if all(any(word in part for part in process.cmdline()) for word in words)
    ]
    if not found:
        pytest.skip("This service is not this session's own.")
    return found[0]


def test_the_vector_process_may_die_and_come_back(stage: Stage, steady_worker: Worker) -> None:
    stage.server.control(latency=0.1)
    run = stage.launch(corpus=stage.add_corpus().pk, retrieval={"when": "answer"}, conversations=30, concurrency=4)
    wait_for(lambda: len(landed(run)) >= 2, within=20, what="that two conversations land")

    our_process("afterimage_web.embedded.vectors", str(settings.DATA_DIR)).kill()
    before = landed(run)

    wait_for_state(run, "done", within=40)
    assert_whole(run)
    after = Conversation.objects.filter(batch=run.batch_id).exclude(pk__in=before).select_related("head")
    steps = [step for conversation in after for step in conversation.head.trace["steps"]]
    assert any(source.get("score") for step in steps for source in step.get("sources", []))


def test_the_queue_may_lose_everything(stage: Stage, steady_worker: Worker) -> None:
    stage.server.control(latency=0.1)
    run = stage.launch(conversations=30, concurrency=4)
    wait_for(lambda: len(landed(run)) >= 2, within=15, what="that two conversations land")

    pulse.board().flushdb()

    wait_for_state(run, "done", within=40)
    assert_whole(run)
    another = stage.launch(conversations=4)
    wait_for_state(another, "done", within=20)


def test_the_database_may_be_restarted(stage: Stage, steady_worker: Worker) -> None:
    stage.server.control(latency=0.1)
    run = stage.launch(conversations=30, concurrency=4)
    wait_for(lambda: len(landed(run)) >= 2, within=15, what="that two conversations land")
    postgres = our_process("bin/postgres", str(settings.DATA_DIR))

    connection.close()
    os.kill(postgres.pid, signal.SIGINT)  # a fast shutdown; the supervisor starts it again
    postgres.wait(20)
    wait_for(_database_answers, within=20, what="that the database is back")

    wait_for_state(run, "done", within=60)
    assert_whole(run)


def _database_answers() -> bool:
    try:
        connection.ensure_connection()
    except Exception:
        time.sleep(0.2)
        return False
    return True


def test_passages_that_are_deleted_in_the_middle_of_a_run_give_way_to_others(
    stage: Stage, steady_worker: Worker
) -> None:
    corpus = stage.add_corpus()
    stage.server.control(latency=0.1)
    run = stage.launch(corpus=corpus.pk, retrieval={"when": "answer"}, conversations=30, concurrency=4)
    wait_for(lambda: len(landed(run)) >= 2, within=20, what="that two conversations land")

    for source in corpus.files.all()[:4]:
        corpora.delete_file(source=source, user=stage.user)
        with pytest.raises(SourceFile.DoesNotExist):
            read(source)
    left = set(Passage.objects.filter(corpus=corpus).values_list("document", flat=True))
    assert 0 < len(left) == Document.objects.filter(corpus=corpus).count() == 2

    wait_for_state(run, "done")
    assert_whole(run)
    last = Conversation.objects.filter(batch=run.batch_id).latest("pk").head.trace["steps"]
    assert {source["document"] for step in last for source in step.get("sources", [])} <= left


def test_a_corpus_without_passages_fails_the_conversations_and_says_why(stage: Stage, steady_worker: Worker) -> None:
    corpus = stage.add_corpus()
    stage.server.control(latency=0.1)
    run = stage.launch(corpus=corpus.pk, retrieval={"when": "answer"}, conversations=100, concurrency=4)
    wait_for(lambda: len(landed(run)) >= 2, within=20, what="that two conversations land")

    Passage.objects.filter(corpus=corpus).delete()

    wait_for(lambda: state_of(run) == Run.State.STOPPED, within=30, what="that the run stops")
    assert "its passages may have been deleted" in run.reason


def test_an_embedding_endpoint_that_stumbles_is_waited_for_and_one_that_refuses_stops_the_run(
    stage: Stage, steady_worker: Worker
) -> None:
    CorpusEmbedding.objects.create(
        corpus=(corpus := stage.add_corpus()), endpoint=stage.endpoint, model="test-embedding"
    )
    for source in corpus.files.all():
        corpora.reread_file(source=source, user=None)
        read(source)
    stage.server.control(faults=[{"kind": "status", "status": 503, "path": "/embeddings", "count": 3}])
    run = stage.launch(corpus=corpus.pk, retrieval={"when": "answer"}, conversations=6, concurrency=3)
    wait_for_state(run, "done")
    assert_whole(run)

    stage.server.control(faults=[{"kind": "status", "status": 401, "path": "/embeddings", "message": "No such key."}])
    refused = stage.launch(corpus=corpus.pk, retrieval={"when": "answer"}, conversations=6, concurrency=3)

    wait_for(lambda: state_of(refused) == Run.State.FAILED, within=10, what="that the run fails")
    assert "No such key." in refused.reason
    assert "embedding" in refused.reason
