"""Model servers that refuse, storm, cut and babble; and budgets, which stop a run that nothing else does."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from django.urls import reverse

from generation.models import Call, Run
from generation.secrets import Fernet
from generation.services.servers.endpoints import save_prices
from tests.faults.stage import (
    KEY,
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


def test_a_401_stops_the_run_with_the_servers_words_and_resume_with_a_good_key_completes_it(
    stage: Stage, steady_worker: Worker
) -> None:
    stage.server.control(latency=0.1, keys=[KEY])
    run = stage.launch(conversations=40, concurrency=4)
    wait_for(lambda: landed(run), within=15, what="that a conversation lands")

    stage.server.control(keys=["sk-another-key-0002"])

    wait_for(lambda: state_of(run) == Run.State.FAILED, within=10, what="that the run stops")
    assert "does not accept this API key (401)" in run.reason
    assert "Incorrect API key provided" in run.reason
    assert KEY not in run.reason
    kept = landed(run)
    wait_for(lambda: nothing_in_flight(run), within=2, what="that all claims are given back")
    assert not run.slots.filter(state="failed").exists()

    address = reverse("generation:endpoint-detail", args=[stage.project.slug, stage.endpoint.pk])
    values = {"preset": "custom", "name": "Server", "base_url": stage.server.base_url, "chat_model": "test-model"}
    posted = stage.browser.post(address, values | {"timeout": 60, "key": "sk-another-key-0002", **PRICE_FORMS})
    assert posted.status_code == 302
    stage.act(run, "resume")
    wait_for_state(run, "done")
    assert kept < landed(run)
    assert_whole(run)


PRICE_FORMS = {"price-TOTAL_FORMS": "0", "price-INITIAL_FORMS": "0"}


def test_a_storm_of_429_with_retry_after_slows_the_run_and_it_completes(stage: Stage, steady_worker: Worker) -> None:
    stage.server.control(latency=0.05, faults=[{"kind": "status", "status": 429, "retry_after": 1, "seconds": 3}])

    run = stage.launch(conversations=16, concurrency=16)

    wait_for_state(run, "done")
    assert_whole(run)
    refused = stage.server.stats()["statuses"]["429"]
    assert 16 <= refused <= 16 * 4  # a second or more between two tries of each, through three seconds
    assert Call.objects.filter(run=run, tries__gt=1).count() >= 16


def test_a_storm_of_server_errors_slows_the_run_and_it_completes(stage: Stage, steady_worker: Worker) -> None:
    faults = [{"kind": "status", "status": status, "fraction": 0.3, "seconds": 4} for status in (500, 503)]
    stage.server.control(latency=0.05, faults=faults)

    run = stage.launch(conversations=20, concurrency=8)

    wait_for_state(run, "done", within=60)
    assert_whole(run)
    assert stage.server.stats()["statuses"]["503"] > 0


def test_a_server_that_is_down_is_named_on_the_page_while_its_calls_are_tried_again(
    stage: Stage, steady_worker: Worker
) -> None:
    stage.server.control(latency=0.1, faults=[{"kind": "status", "status": 503, "message": "Down for <b>repairs</b>."}])
    run = stage.launch(conversations=4, concurrency=2)
    page = reverse("generation:run-detail", args=[stage.project.slug, run.pk])

    def shown() -> str:
        return stage.browser.get(page).content.decode()

    wait_for(lambda: "Some calls are being tried again." in shown(), within=10, what="that the page says so")
    assert "Down for &lt;b&gt;repairs&lt;/b&gt;." in shown()

    stage.server.control(faults=[])
    wait_for_state(run, "done", within=40)
    assert_whole(run)
    assert "tried again" not in shown()


@pytest.mark.parametrize("kind", ["malformed", "cut", "drop", "length", "empty", "bad_json"])
def test_a_spoilt_reply_costs_a_retry_and_not_the_conversation(stage: Stage, steady_worker: Worker, kind: str) -> None:
    stage.server.fail(kind, count=2)

    run = stage.launch(conversations=4, concurrency=2)

    wait_for_state(run, "done")
    assert_whole(run)
    assert (
        stage.server.stats()["total"] == sum(Call.objects.filter(run=run).values_list("tries", flat=True)) > run.calls
    )


def test_a_small_run_in_which_everything_fails_ends_failed_with_the_reason(stage: Stage, steady_worker: Worker) -> None:
    stage.server.fail("empty")

    run = stage.launch(conversations=5, concurrency=5)

    wait_for(lambda: state_of(run) == Run.State.FAILED, within=20, what="that the run fails")
    assert slot_states(run) == {"failed": 5}
    assert run.reason.startswith("No conversation could be made. The last error:")
    assert "empty" in run.reason
    _assert_quiet(stage)


def test_a_large_run_in_which_everything_fails_is_stopped_long_before_its_end(
    stage: Stage, steady_worker: Worker
) -> None:
    stage.server.control(latency=0.05, faults=[{"kind": "empty"}])

    run = stage.launch(conversations=400, concurrency=5)

    wait_for(lambda: state_of(run) == Run.State.STOPPED, within=20, what="that the run stops")
    wait_for(lambda: nothing_in_flight(run), within=5, what="that what is in flight ends")
    assert "conversations in a row failed with the same error" in run.reason
    assert slot_states(run)["failed"] < 60
    _assert_quiet(stage)


def _assert_quiet(stage: Stage) -> None:
    """The clock comes by twice, and no call is made."""
    asked = stage.server.stats()["total"]
    time.sleep(4.5)
    assert stage.server.stats()["total"] == asked


def test_a_key_that_cannot_be_decrypted_fails_the_run_before_any_call(stage: Stage, steady_worker: Worker) -> None:
    stage.endpoint.keys.update(ciphertext=Fernet(Fernet.generate_key()).encrypt(KEY.encode()))

    run = stage.launch(conversations=3)

    wait_for(lambda: state_of(run) == Run.State.FAILED, within=15, what="that the run fails")
    assert "enter the key again" in run.reason
    assert stage.server.stats()["total"] == 0
    assert slot_states(run) == {"pending": 3}


def test_an_endpoint_that_is_gone_fails_the_run_and_is_not_replaced_by_the_offline_model(
    stage: Stage, steady_worker: Worker
) -> None:
    spec = stage.recipe(conversations=3)
    run = stage.launch(conversations=3, models=spec.models | {"respondent": {"endpoint": stage.endpoint.pk}})
    # Pages refuse this; an administrator or a second browser may still do it.
    Run.objects.filter(pk=run.pk).update(state="paused")
    wait_for(lambda: nothing_in_flight(run), within=10, what="that nothing is in flight")
    made = landed(run)
    stage.endpoint.delete()

    stage.act(run, "resume")

    wait_for(lambda: state_of(run) in ("failed", "done"), within=15, what="that the run ends")
    if len(made) < 3:
        assert state_of(run) == Run.State.FAILED
        assert "has been deleted" in run.reason
    assert landed(run) == made


def test_a_token_budget_stops_the_run_and_a_larger_one_lets_it_go_on(stage: Stage, steady_worker: Worker) -> None:
    stage.server.control(latency=0.3)
    run = stage.launch(conversations=200, concurrency=4, budget={"tokens": 20_000})

    wait_for(lambda: state_of(run) == Run.State.STOPPED, within=30, what="that the run stops")
    wait_for(lambda: nothing_in_flight(run), within=5, what="that what is in flight ends")

    run.refresh_from_db()
    assert "budget" in run.reason
    assert 10_000 < run.tokens < 30_000
    assert 0 < run.slots_done < 200

    address = reverse("generation:run-budget", args=[stage.project.slug, run.pk])
    assert stage.browser.post(address, {"tokens": run.tokens * 2, "money": ""}).status_code == 302
    done = run.slots_done
    stage.act(run, "resume")
    wait_for(lambda: len(landed(run)) > done, within=15, what="that the run goes on")


def test_a_money_budget_stops_the_run_and_the_ledger_says_what_was_spent(stage: Stage, steady_worker: Worker) -> None:
    stage.server.control(latency=0.3)
    save_prices(endpoint=stage.endpoint, prices={"test-model": (Decimal(10), Decimal(30))})
    run = stage.launch(conversations=200, concurrency=4, budget={"money": "0.3"})

    wait_for(lambda: state_of(run) == Run.State.STOPPED, within=30, what="that the run stops")
    wait_for(lambda: nothing_in_flight(run), within=5, what="that what is in flight ends")

    run.refresh_from_db()
    calls = list(Call.objects.filter(run=run))
    assert "budget" in run.reason
    assert Decimal("0.15") < run.cost < Decimal("0.5")
    assert run.cost == sum(call.cost for call in calls)
    assert all(
        call.cost == (Decimal(10) * call.prompt_tokens + Decimal(30) * call.completion_tokens) / 1_000_000
        for call in calls
    )
