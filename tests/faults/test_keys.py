"""Runs whose endpoint has several keys: one is refused, one is told to slow down, and the limits are reached."""

from __future__ import annotations

from django.urls import reverse

from generation.models import EndpointKey, Run
from tests.faults.stage import KEY, Stage, assert_whole, landed, nothing_in_flight, state_of, wait_for, wait_for_state
from tests.workers import Worker

OTHER = "sk-the-other-key-0002"


def act(stage: Stage, action: str, *key: int, **values: str) -> None:
    """What a button beside a key does."""
    address = reverse(f"generation:endpoint-key-{action}", args=[stage.project.slug, stage.endpoint.pk, *key])
    assert stage.browser.post(address, values).status_code == 302


def page(stage: Stage, run: Run) -> str:
    return stage.browser.get(reverse("generation:run-detail", args=[stage.project.slug, run.pk])).content.decode()


def test_a_key_that_is_revoked_in_the_middle_is_put_aside_and_the_run_completes_on_the_other(
    stage: Stage, steady_worker: Worker
) -> None:
    stage.server.control(latency=0.1, keys=[KEY, OTHER])
    act(stage, "add", key=OTHER)
    run = stage.launch(conversations=60, concurrency=4)
    wait_for(lambda: landed(run), within=20, what="that a conversation lands")

    stage.server.control(keys=[OTHER])

    wait_for(lambda: EndpointKey.objects.exclude(refused=None), within=10, what="that the refusal is kept")
    wait_for(lambda: "put aside" in page(stage, run), within=5, what="that the run's page says so")
    wait_for_state(run, "done")
    assert_whole(run)
    refused = EndpointKey.objects.get(endpoint=stage.endpoint, refusal__contains="(401)")
    assert refused.reveal() == KEY
    assert stage.server.stats()["statuses"]["401"] <= 8  # those in flight in the two processes


def test_a_key_that_is_told_to_slow_down_does_not_slow_the_run(stage: Stage, steady_worker: Worker) -> None:
    act(stage, "add", key=OTHER)
    faults = [{"kind": "status", "status": 429, "retry_after": 300, "key": KEY}]
    stage.server.control(latency=0.05, faults=faults)

    run = stage.launch(conversations=16, concurrency=8)

    wait_for_state(run, "done", within=30)
    assert_whole(run)
    assert stage.server.stats()["keys"][KEY] <= 8


def test_a_run_rests_when_its_keys_have_made_their_calls_says_until_when_and_goes_on_when_one_is_added(
    stage: Stage, steady_worker: Worker
) -> None:
    stage.server.control(latency=0.02)
    key = stage.endpoint.keys.get()
    act(stage, "save", key.pk, daily_limit="30")

    run = stage.launch(conversations=20, concurrency=4)

    said = "has made the calls that its limit allows. The next can be made at 00:00 UTC"
    wait_for(lambda: said in page(stage, run), within=20, what="that the page says why nothing happens")
    assert stage.server.stats()["keys"] == {KEY: 30}
    wait_for(lambda: nothing_in_flight(run), within=5, what="that all claims are given back")
    assert state_of(run) == Run.State.RUNNING
    assert not run.slots.filter(state="failed").exists()

    act(stage, "add", key=OTHER)
    wait_for_state(run, "done", within=15)  # it would ask again by itself after twenty seconds
    assert_whole(run)
    assert stage.server.stats()["keys"][KEY] == 30


def test_a_run_takes_up_a_key_that_is_added_while_it_waits(stage: Stage, steady_worker: Worker) -> None:
    faults = [{"kind": "status", "status": 429, "retry_after": 100, "key": KEY}]
    stage.server.control(latency=0.05, faults=faults)
    run = stage.launch(conversations=4, concurrency=2)
    wait_for(lambda: "tried again" in page(stage, run), within=10, what="that the page says that calls wait")

    act(stage, "add", key=OTHER)

    wait_for_state(run, "done", within=20)
    assert_whole(run)
