"""Servers of the whole test session go away for a moment: run apart from all other tests, in one process."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest
from django.conf import settings
from django.db import connection

from datasets.models import Conversation
from tests.faults.stage import Stage, assert_whole, landed, wait_for, wait_for_state
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
