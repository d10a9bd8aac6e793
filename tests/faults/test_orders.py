"""Pause, resume and cancel reach dialogs in flight."""

from __future__ import annotations

import threading
import time

from django.db import connection, transaction

from generation.engine.protocols import Brief, Failed, Job, Landing
from generation.frozen import Frozen
from generation.models import Run, Slot
from generation.services.running import claims, runs
from generation.services.running.landing import land
from tests.faults.stage import (
    Stage,
    assert_whole,
    landed,
    nothing_in_flight,
    slot_states,
    state_of,
    wait_for,
    wait_for_state,
)
from tests.workers import Worker


def test_cancel_stops_model_calls_within_two_seconds_and_keeps_what_has_landed(
    stage: Stage, steady_worker: Worker
) -> None:
    stage.server.control(latency=0.3)
    run = stage.launch(conversations=200, concurrency=16)
    wait_for(lambda: len(landed(run)) >= 5, within=15, what="that five conversations land")

    cancelled = time.time()
    stage.act(run, "cancel")

    wait_for(lambda: stage.server.stats()["in_flight"] == 0, within=2, what="that no call is in flight")
    kept = landed(run)
    time.sleep(2.5)  # longer than the clock takes to call for workers
    assert stage.server.stats()["last_request"] - cancelled < 2
    assert landed(run) == kept
    assert state_of(run) == Run.State.CANCELLED
    assert slot_states(run) == {Slot.State.DONE: len(kept), Slot.State.CANCELLED: 200 - len(kept)}
    assert run.slots_done == len(kept)


def test_pause_finishes_what_is_in_flight_and_starts_nothing_and_resume_makes_the_rest(
    stage: Stage, steady_worker: Worker
) -> None:
    stage.server.control(latency=0.15)
    run = stage.launch(conversations=40, concurrency=6)
    wait_for(lambda: len(landed(run)) >= 4, within=15, what="that four conversations land")

    stage.act(run, "pause")
    wait_for(lambda: nothing_in_flight(run), within=6, what="that what is in flight ends")

    assert state_of(run) == Run.State.PAUSED
    states = slot_states(run)
    assert states[Slot.State.DONE] == len(landed(run)) < 40
    assert states[Slot.State.DONE] + states[Slot.State.PENDING] == 40
    asked = stage.server.stats()["total"]
    time.sleep(2.5)
    assert stage.server.stats()["total"] == asked
    assert not run.slots.filter(state="pending").exclude(attempts=0).exists()

    stage.act(run, "resume")
    wait_for_state(run, "done")
    assert_whole(run)


def test_a_cancel_in_the_middle_of_a_landing_waits_for_it(stage: Stage) -> None:
    """Both lock slots and then the run. In another order each would wait for the other, and one would be thrown out."""
    run = runs.start_run(project=stage.project, spec=stage.recipe(conversations=2), user=stage.user)
    (slot, _) = claims.claim_slots(run_id=run.pk, limit=2)
    failures: list[Exception] = []

    def cancel() -> None:
        try:
            runs.cancel_run(run=Run.objects.get(pk=run.pk), user=stage.user)
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    canceller = threading.Thread(target=cancel)
    with transaction.atomic():
        list(Slot.objects.select_for_update().filter(pk=slot.pk))
        canceller.start()
        wait_for(_somebody_waits_for_a_lock, within=5, what="that the cancel waits")
        job = Job(slot.pk, str(slot.lease_token), Brief(seed=1, turns=1))
        landing = Landing(job, Failed("dialog", "No usable reply."))
        assert land(run=run, frozen=Frozen.model_validate(run.frozen), landings=[landing]).failed == 1
    canceller.join(10)

    assert failures == []
    assert state_of(run) == Run.State.CANCELLED
    assert slot_states(run) == {Slot.State.FAILED: 1, Slot.State.CANCELLED: 1}


def _somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return cursor.fetchone()[0] > 0
