"""Workers that are killed, asked to stop, or so late that their claims were taken from them."""

from __future__ import annotations

import os
import signal

import pytest

from generation.models import Run, Slot
from tests.faults.stage import (
    Stage,
    assert_whole,
    landed,
    nothing_in_flight,
    slot_states,
    wait_for,
    wait_for_state,
)
from tests.workers import working

pytestmark = pytest.mark.slow


def test_a_run_survives_kill_9_and_loses_or_doubles_no_conversation(stage: Stage) -> None:
    stage.server.control(latency=0.1)
    with working(beat=True, name="first") as worker:
        run = stage.launch(conversations=60, concurrency=8)
        wait_for(lambda: len(landed(run)) >= 15, within=20, what="that fifteen conversations land")
        worker.kill()
    before = landed(run)
    assert 15 <= len(before) < 60
    assert slot_states(run)[Slot.State.RUNNING] > 0

    with working(beat=True, name="second"):
        wait_for_state(run, "done", within=40)

    assert before < landed(run)
    assert_whole(run)


def test_a_late_worker_whose_claims_were_taken_writes_nothing(stage: Stage) -> None:
    stage.server.control(latency=0.3)
    with working(name="late") as late:
        run = stage.launch(conversations=16, concurrency=8, max_turns=3)
        wait_for(lambda: stage.server.stats()["in_flight"] >= 8, within=10, what="that eight calls are in flight")
        _signal_all(late.processes, signal.SIGSTOP)
        with working(name="taker", beat=True):
            wait_for_state(run, "done", within=40)
        made, asked = landed(run), stage.server.stats()["total"]

        _signal_all(late.processes, signal.SIGCONT)

        wait_for(lambda: stage.server.stats()["total"] > asked, within=10, what="that the late worker goes on")
        late.stop()
    assert landed(run) == made
    assert_whole(run)


def _signal_all(processes: list, number: int) -> None:
    for process in processes:
        process.send_signal(number)


def test_a_worker_that_is_asked_to_stop_gives_its_claims_back_at_once(stage: Stage) -> None:
    stage.server.control(latency=1.5)
    with working() as worker:
        run = stage.launch(conversations=10, concurrency=5, max_turns=3)
        wait_for(lambda: stage.server.stats()["in_flight"] == 5, within=10, what="that five calls are in flight")
        os.kill(worker.process.pid, signal.SIGTERM)

        wait_for(lambda: nothing_in_flight(run), within=2.5, what="that the claims are given back")

        assert worker.process.wait(10) == 0
    assert slot_states(run) == {Slot.State.PENDING: 10}
    assert not run.slots.exclude(attempts=0).exists()
    run.refresh_from_db()
    assert run.state == Run.State.RUNNING
