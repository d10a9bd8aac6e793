"""The list of runs, the live page of one, and what its buttons do."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from datasets import pulse
from datasets.models import Conversation, Project, User
from generation.engine.protocols import Failed
from generation.models import Run, Slot
from generation.services.running import claims, runs
from tests.generation.runs import land_on, landed, launched, made

ClientOf = Callable[[User], Client]
pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def a_worker_listens() -> None:
    pulse.beat(["press", "default"])


@pytest.fixture
def run(project: Project, owner: User) -> Run:
    return launched(project, user=owner, name="First try", conversations=6)


def at(run: Run, *more: str) -> str:
    name = ["run-detail", "run-action"][len(more)]
    return reverse(f"generation:{name}", args=[run.project.slug, run.pk, *more])


def page(client: Client, run: Run) -> str:
    answer = client.get(at(run))
    assert answer.status_code == 200
    return answer.content.decode()


# -- who may do what --------------------------------------------------------------------------------------------------


def test_members_watch_a_run_and_only_curators_steer_it(
    run: Run, teammate: User, annotator: User, stranger: User, client_of: ClientOf
) -> None:
    assert "Pause" in page(client_of(teammate), run)
    watched = page(client_of(annotator), run)
    assert "First try" in watched
    assert "Pause" not in watched
    assert "Change the budget" not in watched
    assert client_of(stranger).get(at(run)).status_code == 404
    budget = reverse("generation:run-budget", args=[run.project.slug, run.pk])
    for address in (at(run, "pause"), at(run, "cancel"), budget):
        assert client_of(annotator).post(address).status_code == 403
        assert client_of(stranger).post(address).status_code == 404
        assert client_of(teammate).get(address).status_code == 405
    run.refresh_from_db()
    assert run.state == Run.State.RUNNING


def test_a_run_of_another_project_is_not_found_in_mine(run: Run, stranger: User, client_of: ClientOf) -> None:
    mine = stranger.projects.get().slug
    for name, more in (("run-detail", []), ("run-action", ["cancel"]), ("run-yaml", []), ("run-budget", [])):
        address = reverse(f"generation:{name}", args=[mine, run.pk, *more])
        assert 404 in {client_of(stranger).get(address).status_code, client_of(stranger).post(address).status_code}
    run.refresh_from_db()
    assert run.state == Run.State.RUNNING


def test_runs_that_are_launched_at_once_are_told_apart_by_their_names(project: Project) -> None:
    assert len({launched(project, conversations=1).name for _ in range(3)}) == 3


# -- the numbers ------------------------------------------------------------------------------------------------------


def test_the_page_counts_what_the_rows_say(run: Run, owner: User, client_of: ClientOf) -> None:
    landed(run, made("What is it?"), made("Why?"), Failed("dialog", "No usable reply in 3 tries (answer): x"))
    claims.claim_slots(run_id=run.pk, limit=2)
    shown = page(client_of(owner), run)
    assert "<title>2 done, 2 running, 1 failed, 1 waiting, of 6</title>" in shown
    assert "What is it?" in shown
    assert 'hx-trigger="every 2s"' in shown
    run.refresh_from_db()
    assert (run.calls, run.tokens) == (4, 2 * (1204 + 212))
    assert "2 832" in shown.replace("\u202f", " ").replace("\u2009", " ").replace("\xa0", " ")


def test_failures_of_a_kind_are_one_line_with_their_number(run: Run, owner: User, client_of: ClientOf) -> None:
    landed(
        run,
        Failed("dialog", "The request 11111111 is <b>too long</b>."),
        Failed("dialog", "The request 22222222 is <b>too long</b>."),
        Failed("transient", "The server failed (503)."),
    )
    shown = page(client_of(owner), run)
    assert "2×" in shown
    assert "is &lt;b&gt;too long&lt;/b&gt;." in shown
    assert shown.count("too long") == 1
    assert "1 will be tried again by itself" in shown
    assert "Retry 2 failed" in shown


def test_money_and_tokens_stand_against_the_budget(run: Run, owner: User, client_of: ClientOf) -> None:
    Run.objects.filter(pk=run.pk).update(
        spec={**run.spec, "budget": {"tokens": 1000, "money": "2"}}, prompt_tokens=900, cost=Decimal("0.5")
    )
    shown = page(client_of(owner), run)
    assert "<title>Token budget: 90 %</title>" in shown
    assert "<title>Money budget: 25 %</title>" in shown
    assert "no prices are set" not in shown


def test_tokens_that_cost_nothing_are_told_to_have_no_price_perhaps(run: Run, owner: User, client_of: ClientOf) -> None:
    assert "no prices are set" not in page(client_of(owner), run)
    Run.objects.filter(pk=run.pk).update(prompt_tokens=900, cost=0)
    assert "no prices are set, or all is free" in page(client_of(owner), run)


def test_acceptance_is_the_share_of_those_decided_on(run: Run, owner: User, client_of: ClientOf) -> None:
    landed(run, made(), made(), made(), made())
    ids = list(Conversation.objects.filter(batch=run.batch_id).values_list("pk", flat=True))
    Conversation.objects.filter(pk__in=ids[:2]).update(status="approved")
    Conversation.objects.filter(pk=ids[2]).update(status="rejected")
    assert "67 <small>%</small>" in page(client_of(owner), run)


# -- states that explain themselves -----------------------------------------------------------------------------------


def test_a_run_that_nobody_works_on_says_how_to_start_a_worker(run: Run, owner: User, client_of: ClientOf) -> None:
    pulse.board().set("pulse:press", int(time.time()) - 90)
    shown = page(client_of(owner), run)
    assert "No worker has answered for" in shown
    assert "python manage.py up" in shown
    pulse.board().delete("pulse:press")
    assert "No worker has answered yet." in page(client_of(owner), run)
    pulse.beat(["press"])
    assert "No worker" not in page(client_of(owner), run)


@pytest.mark.parametrize(
    ("state", "buttons"),
    [
        ("running", {"Pause", "Cancel"}),
        ("paused", {"Resume", "Cancel"}),
        ("stopped", {"Resume", "Cancel"}),
        ("failed", {"Resume", "Cancel"}),
        ("cancelled", set()),
        ("done", set()),
    ],
)
def test_each_state_has_its_buttons(run: Run, owner: User, client_of: ClientOf, state: str, buttons: set[str]) -> None:
    landed(run, made())
    open_slots = {"done": 1}.get(state, 6)
    Run.objects.filter(pk=run.pk).update(
        state=state, slots_total=open_slots, reason="Because." if state == "stopped" else ""
    )
    shown = page(client_of(owner), run)
    assert {word for word in ("Pause", "Resume", "Cancel") if f"</svg> {word}</button>" in shown} == buttons
    assert ("every 2s" in shown) == (state == "running")
    assert ("Because." in shown) == (state == "stopped")


def test_a_cancelled_run_says_what_was_made_and_by_whom(run: Run, owner: User, client_of: ClientOf) -> None:
    landed(run, made())
    client_of(owner).post(at(run, "cancel"))
    shown = page(client_of(owner), run)
    assert "Cancelled by olivia. 1 of 6 conversations were made." in shown
    assert "every 2s" not in shown


def test_a_run_of_the_offline_model_says_so(run: Run, owner: User, client_of: ClientOf) -> None:
    assert "Made by the offline model." in page(client_of(owner), run)


# -- polling ----------------------------------------------------------------------------------------------------------


def poll(client: Client, run: Run, address: str) -> str:
    """What the page's own poll brings; `address` is what the page said it would ask."""
    answer = client.get(address, headers=HTMX)
    assert answer.status_code == 200
    return answer.content.decode()


def polled_address(shown: str) -> str:
    (address,) = re.findall(r'id="run"\s+hx-get="([^"]+)"', shown)
    return address.replace("&amp;", "&")


def test_a_poll_brings_only_what_has_changed(run: Run, owner: User, client_of: ClientOf) -> None:
    client = client_of(owner)
    address = polled_address(page(client, run))
    same = poll(client, run, address)
    assert "<html" not in same
    assert 'id="run"' in same
    assert 'id="run-head"' not in same
    assert 'id="run-errors"' not in same
    assert 'id="budget"' not in same

    landed(run, made("Is it new?"), Failed("dialog", "It broke."))
    after = poll(client, run, address)
    assert 'id="run-errors" hx-swap-oob="true"' in after
    assert 'id="run-head"' not in after
    assert '<tr class="landing">' in after
    assert '<tr class="landing">' not in poll(client, run, polled_address(page(client, run)))

    runs.pause_run(run=run, user=owner)
    assert 'id="run-head" hx-swap-oob="true"' in poll(client, run, address)


def test_the_last_poll_says_done_and_ends_polling(project: Project, owner: User, client_of: ClientOf) -> None:
    run = launched(project, user=owner, conversations=1)
    client = client_of(owner)
    address = polled_address(page(client, run))
    landed(run, made())
    last = poll(client, run, address)
    assert "every 2s" not in last
    assert "</svg>Done</span>" in last


def test_a_page_of_history_is_whole(run: Run, owner: User, client_of: ClientOf) -> None:
    answer = client_of(owner).get(at(run) + "?head=x", headers=HTMX | {"HX-History-Restore-Request": "true"})
    assert b"<html" in answer.content


def test_a_poll_asks_as_many_questions_of_a_large_run_as_of_a_small_one(
    project: Project, owner: User, client_of: ClientOf
) -> None:
    client = client_of(owner)
    small = launched(project, user=owner, conversations=3)
    large = launched(project, user=owner, conversations=60, name="Large")
    landed(small, made())
    landed(large, *[made(f"Question {n}?") for n in range(30)], *[Failed("dialog", f"Broken {n}.") for n in range(10)])
    with CaptureQueriesContext(connection) as few:
        poll(client, small, at(small) + "?head=x")
    with CaptureQueriesContext(connection) as many:
        poll(client, large, at(large) + "?head=x")
    assert len(many) == len(few) <= 16


# -- what the buttons do ----------------------------------------------------------------------------------------------


def test_pause_resume_and_cancel_change_the_state_and_are_written_down(
    run: Run, teammate: User, client_of: ClientOf
) -> None:
    client = client_of(teammate)
    for action, state in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        assert client.post(at(run, action))["Location"] == at(run)
        run.refresh_from_db()
        assert run.state == state
    assert [entry.text.split()[0] for entry in run.project.activities.order_by("-pk")[:3]] == [
        "cancelled",
        "resumed",
        "paused",
    ]
    assert set(run.slots.values_list("state", flat=True)) == {Slot.State.CANCELLED}


def test_what_is_pressed_twice_happens_once(run: Run, teammate: User, client_of: ClientOf) -> None:
    client = client_of(teammate)
    client.post(at(run, "cancel"))
    for action in ("cancel", "pause", "resume"):
        assert client.post(at(run, action)).status_code == 302
    run.refresh_from_db()
    assert run.state == Run.State.CANCELLED
    assert run.project.activities.filter(text__startswith="cancelled").count() == 1


def test_a_run_with_nothing_left_to_do_is_not_resumed(run: Run, teammate: User, client_of: ClientOf) -> None:
    landed(run, *[made()] * 5, Failed("dialog", "Broken."))
    assert run.state == Run.State.DONE
    answer = client_of(teammate).post(at(run, "resume"), follow=True)
    assert "Nothing is left to do" in answer.content.decode()
    client_of(teammate).post(at(run, "retry"))
    run.refresh_from_db()
    assert (run.state, run.slots_failed, run.slots_open) == ("running", 0, 1)


def test_a_cancelled_run_is_not_tried_again(run: Run, teammate: User, client_of: ClientOf) -> None:
    landed(run, Failed("dialog", "Broken."))
    client = client_of(teammate)
    client.post(at(run, "cancel"))
    answer = client.post(at(run, "retry"), follow=True)
    assert "stays cancelled" in answer.content.decode()
    run.refresh_from_db()
    assert (run.state, run.slots_failed) == ("cancelled", 1)


def test_a_run_that_was_stopped_while_its_last_conversation_was_made_is_done(project: Project) -> None:
    run = launched(project, conversations=1)
    (slot,) = claims.claim_slots(run_id=run.pk, limit=1)
    runs.stop_run(run=run, reason="The token budget of 10 is used up.")
    assert run.state == Run.State.STOPPED
    land_on(run, [slot], [made()])
    assert (run.state, run.reason) == (Run.State.DONE, "")


def test_an_unknown_action_is_not_found(run: Run, teammate: User, client_of: ClientOf) -> None:
    assert client_of(teammate).post(at(run, "explode")).status_code == 404


# -- budget -----------------------------------------------------------------------------------------------------------


def test_a_budget_is_changed_and_emptied_and_the_launched_recipe_stays(
    run: Run, teammate: User, client_of: ClientOf
) -> None:
    address = reverse("generation:run-budget", args=[run.project.slug, run.pk])
    client = client_of(teammate)
    client.post(address, {"tokens": "5000", "money": "1.25"})
    run.refresh_from_db()
    assert run.spec["budget"] == {"tokens": 5000, "money": "1.25"}
    client.post(address, {"tokens": "", "money": ""})
    run.refresh_from_db()
    assert run.spec["budget"] == {"tokens": None, "money": None}


@pytest.mark.parametrize(("field", "value"), [("tokens", "0"), ("money", "0"), ("money", "-1"), ("tokens", "x")])
def test_a_budget_that_cannot_be_is_refused_in_its_dialog(
    run: Run, teammate: User, client_of: ClientOf, field: str, value: str
) -> None:
    address = reverse("generation:run-budget", args=[run.project.slug, run.pk])
    answer = client_of(teammate).post(address, {field: value})
    shown = answer.content.decode()
    assert answer.status_code == 422
    assert 'id="budget" open' in shown
    assert f'id="id_{field}_error"' in shown
    run.refresh_from_db()
    assert run.spec["budget"] == {"tokens": None, "money": None}


# -- lists and fragments ----------------------------------------------------------------------------------------------


def test_runs_are_listed_newest_first_page_by_page(
    project: Project, owner: User, stranger: User, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("generation.views.runs.PAGE", 2)
    for name in ("one", "two", "three"):
        launched(project, user=owner, name=f"Run {name}", conversations=1)
    listed = reverse("generation:run-list", args=[project.slug])
    client = client_of(owner)
    first = client.get(listed)
    assert [run.name for run in first.context["runs"]] == ["Run three", "Run two"]
    older = client.get(f"{listed}?before={first.context['older']}")
    assert [run.name for run in older.context["runs"]] == ["Run one"]
    assert client.get(f"{listed}?before=nonsense").status_code == 200
    assert client_of(stranger).get(listed).status_code == 404


def test_the_list_polls_while_something_runs_and_asks_no_question_a_row(
    project: Project, owner: User, client_of: ClientOf
) -> None:
    client = client_of(owner)
    listed = reverse("generation:run-list", args=[project.slug])
    assert "No runs yet" in client.get(listed).content.decode()
    launched(project, user=owner)
    with CaptureQueriesContext(connection) as one:
        assert "every 3s" in client.get(listed).content.decode()
    for _ in range(8):
        launched(project, user=owner)
    with CaptureQueriesContext(connection) as nine:
        client.get(listed)
    assert len(nine) == len(one)
    Run.objects.update(state="done")
    assert "every 3s" not in client.get(listed).content.decode()


def test_the_frame_shows_what_runs_now_and_stops_asking_when_nothing_does(
    run: Run, owner: User, stranger: User, client_of: ClientOf
) -> None:
    landed(run, made(), made(), made())
    address = reverse("generation:running-now", args=[run.project.slug])
    client = client_of(owner)
    shown = client.get(address, headers=HTMX)
    assert b"First try: 50 %" in shown.content
    assert at(run).encode() in shown.content
    Run.objects.update(state="done")
    assert client.get(address, headers=HTMX).status_code == 286
    assert client_of(stranger).get(address).status_code == 404


def test_a_batch_leads_to_the_run_that_made_it(run: Run, owner: User, stranger: User, client_of: ClientOf) -> None:
    address = reverse("generation:batch-run", args=[run.project.slug, run.batch_id])
    assert client_of(owner).get(address)["Location"] == at(run)
    assert client_of(stranger).get(address).status_code == 404


def test_names_and_texts_are_shown_as_text(project: Project, owner: User, client_of: ClientOf) -> None:
    run = launched(project, user=owner, name="<script>alert(1)</script>", conversations=2)
    landed(run, made("<img src=x onerror=alert(1)>"), Failed("dialog", "<script>alert(2)</script>"))
    Run.objects.filter(pk=run.pk).update(state="failed", reason="<script>alert(3)</script>", finished=timezone.now())
    client = client_of(owner)
    for shown in (page(client, run), client.get(reverse("generation:run-list", args=[project.slug])).content.decode()):
        assert "<script>alert" not in shown
        assert "<img src=x" not in shown
