"""N asked, exactly N slots, N results."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import transaction

from datasets.services.projects import delete_project
from generation.services.running import runs
from generation.services.work import pullers
from generation.tasks import pull_run
from tests.faults.stage import Stage, assert_whole, landed, slot_states, state_of, wait_for, wait_for_state
from tests.workers import Worker, working


@pytest.mark.parametrize(("conversations", "concurrency"), [(1, 16), (7, 1), (41, 5), (60, 64)])
def test_a_run_makes_exactly_as_many_conversations_as_were_asked_for(
    stage: Stage, steady_worker: Worker, conversations: int, concurrency: int
) -> None:
    run = stage.launch(conversations=conversations, concurrency=concurrency)

    wait_for_state(run, "done")

    assert_whole(run)


@pytest.mark.slow
def test_several_workers_that_pull_one_run_make_no_conversation_twice(stage: Stage, steady_worker: Worker) -> None:
    stage.server.control(latency=0.3)
    with working(processes=2, name="second"):
        # The server's questions are made of few patterns: among so many, some would be near-duplicates.
        run = stage.launch(conversations=300, concurrency=60, questions={"distinct": False})
        for _ in range(8):  # the first worker may take four: two to work on, two to do next
            pull_run.delay(run.pk)
        wait_for(lambda: pullers.pullers_of(run) >= 3, within=20, what="that three workers pull")

        wait_for_state(run, "done", within=60)

    assert_whole(run)


def test_a_run_that_no_message_tells_of_is_found_by_the_clock(stage: Stage, steady_worker: Worker) -> None:
    run = runs.start_run(project=stage.project, spec=stage.recipe(conversations=3), user=stage.user)

    wait_for_state(run, "done")

    assert_whole(run)


def test_a_conversation_that_killed_three_workers_fails_and_the_rest_is_made(
    stage: Stage, steady_worker: Worker
) -> None:
    spec = stage.recipe(conversations=4)
    with transaction.atomic():
        run = runs.start_run(project=stage.project, spec=spec, user=stage.user)
        # What three killed workers leave behind: a lease that has run out, at the third attempt.
        run.slots.filter(index=0).update(state="running", attempts=3, lease_token=uuid4(), lease_until=run.created)

    wait_for_state(run, "done")

    assert slot_states(run) == {"done": 3, "failed": 1}
    assert run.slots.get(index=0).error == "The worker died 3 times while making this conversation."
    assert (run.slots_done, run.slots_failed) == (3, 1)


def test_a_project_that_is_deleted_with_its_cancelled_run_harms_no_other(stage: Stage, steady_worker: Worker) -> None:
    stage.server.control(latency=0.2)
    doomed = stage.launch(conversations=100, concurrency=8)
    wait_for(lambda: landed(doomed), within=15, what="that a conversation lands")
    other = Stage(stage.server, name="Other")

    stage.act(doomed, "cancel")
    delete_project(project=stage.project)

    wait_for(lambda: stage.server.stats()["in_flight"] == 0, within=5, what="that its calls end")
    run = other.launch(conversations=4)
    wait_for_state(run, "done")
    assert_whole(run)


def test_two_runs_at_once_both_come_to_their_end(stage: Stage, steady_worker: Worker) -> None:
    both = [stage.launch(conversations=20, concurrency=4) for _ in range(2)]

    for run in both:
        wait_for_state(run, "done")
        assert_whole(run)


def test_some_failed_conversations_are_counted_and_made_when_they_are_tried_again(
    stage: Stage, steady_worker: Worker
) -> None:
    stage.server.fail("empty", count=9)  # three dialogs give up after three empty replies each
    run = stage.launch(conversations=10, concurrency=1)
    wait_for_state(run, "done")
    assert (run.slots_done, run.slots_failed) == (7, 3)
    assert run.slots.filter(state="failed", error__contains="empty").count() == 3

    stage.act(run, "retry")

    assert state_of(run) in ("running", "done")
    wait_for_state(run, "done")
    assert_whole(run)
