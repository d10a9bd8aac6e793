"""Verdicts: by one person on one conversation, and by one click on all that a filter matches."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from datasets.models import BulkAction, Conversation, Labelling, Origin, Project, Review, Role, User
from datasets.services.curating import bulk, reviews
from datasets.services.curating.conversations import add_version
from datasets.services.errors import Refused
from datasets.tasks import carry_on_bulk
from tests.factories import add_member, make_batch, make_conversation, make_dialog, make_project, make_user

pytestmark = pytest.mark.django_db
Clients = Callable[[User], Client]
HTMX = {"HX-Request": "true"}


def url(project: Project, name: str, *args: Any) -> str:
    return reverse(f"datasets:{name}", args=[project.slug, *args])


def decide(client: Client, row: Conversation, decision: str, query: str = "", version: int = 0, **extra: Any) -> Any:
    address = url(row.project, "conversation-review", row.pk) + query
    return client.post(address, {"decision": decision, "version": version or row.head_id}, **extra)


def status_of(row: Conversation) -> str:
    return Conversation.objects.values_list("status", flat=True).get(pk=row.pk)


@pytest.fixture
def reviewer(annotator: User, client_of: Clients) -> Client:
    return client_of(annotator)


@pytest.fixture
def rows(project: Project) -> list[Conversation]:
    """Oldest first."""
    return [make_conversation(project, f"Question {n}?", "Yes.") for n in range(4)]


# -- one ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decision", ["approved", "rejected", "flagged"])
def test_a_verdict_is_recorded_with_its_author_and_version(
    decision: str, rows: list[Conversation], annotator: User, reviewer: Client
) -> None:
    decide(reviewer, rows[0], decision)
    assert status_of(rows[0]) == decision
    [review] = Review.objects.all()
    found = (review.reviewer, review.version, review.decision, review.previous)
    assert found == (annotator, rows[0].head, decision, "generated")


def test_a_verdict_goes_on_to_the_next_one_of_the_filter(rows: list[Conversation], reviewer: Client) -> None:
    answer = decide(reviewer, rows[3], "approved", "?status=generated&q=question")
    place = url(rows[0].project, "conversation-detail", rows[2].pk) + "?q=question&status=generated"
    assert answer["Location"] == place
    decide(reviewer, rows[1], "rejected")
    answer = decide(reviewer, rows[2], "approved", "?status=generated", headers=HTMX)
    assert answer.status_code == 200
    assert answer["HX-Push-Url"] == url(rows[0].project, "conversation-detail", rows[0].pk) + "?status=generated"
    page = answer.content.decode()
    assert "<html" not in page
    assert "Question 0?" in page
    assert f"No. {rows[2].pk}: approved" in page


def test_after_the_last_one_it_stays_and_says_so(rows: list[Conversation], reviewer: Client) -> None:
    answer = decide(reviewer, rows[0], "approved", "?status=generated", headers=HTMX)
    assert "That was the last one of this list." in answer.content.decode()
    assert "Question 0?" in answer.content.decode()


def test_the_same_verdict_sent_twice_counts_once(rows: list[Conversation], reviewer: Client) -> None:
    first, second = (decide(reviewer, rows[3], "approved") for _ in range(2))
    assert first["Location"] == second["Location"]
    assert status_of(rows[3]) == "approved"
    assert Review.objects.count() == 1


def test_pressing_the_verdict_that_stands_sets_it_back_to_review(rows: list[Conversation], reviewer: Client) -> None:
    decide(reviewer, rows[3], "approved")
    address = url(rows[3].project, "conversation-detail", rows[3].pk)
    page = reviewer.get(address).content.decode()
    assert 'name="decision" value="generated" aria-pressed="true" data-key="a"' in page
    assert decide(reviewer, rows[3], "generated")["Location"] == address
    assert status_of(rows[3]) == "generated"
    assert 'value="approved" aria-pressed="false" data-key="a"' in reviewer.get(address).content.decode()


def test_a_verdict_on_a_version_that_no_longer_counts_is_refused_and_the_new_one_shown(
    rows: list[Conversation], owner: User, reviewer: Client
) -> None:
    old = rows[0].head_id
    add_version(conversation=rows[0], dialog=make_dialog("New?", "Newer."), origin=Origin.EDITED, author=owner)
    answer = decide(reviewer, rows[0], "approved", version=old, headers=HTMX)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "Somebody changed this conversation while you were reading" in page
    assert "Newer." in page
    assert status_of(rows[0]) == "generated"
    assert not Review.objects.exists()


@pytest.mark.parametrize("data", [{}, {"decision": "lovely"}, {"decision": "approved"}, {"version": "x"}])
def test_nonsense_for_a_verdict_changes_nothing(
    data: dict[str, str], rows: list[Conversation], reviewer: Client
) -> None:
    answer = reviewer.post(url(rows[0].project, "conversation-review", rows[0].pk), data)
    assert answer.status_code == 422
    assert "That is no decision" in answer.content.decode()
    assert status_of(rows[0]) == "generated"


def test_a_changed_conversation_waits_for_review_again(rows: list[Conversation], owner: User, reviewer: Client) -> None:
    decide(reviewer, rows[0], "approved")
    add_version(conversation=rows[0], dialog=make_dialog("New?", "Newer."), origin=Origin.EDITED, author=owner)
    assert status_of(rows[0]) == "generated"


def test_undo_takes_back_my_last_decisions_one_by_one(
    rows: list[Conversation], project: Project, teammate: User, reviewer: Client, client_of: Clients
) -> None:
    decide(reviewer, rows[3], "approved")
    decide(reviewer, rows[3], "rejected")
    decide(reviewer, rows[2], "flagged")
    decide(client_of(teammate), rows[1], "approved")
    undo = url(project, "conversation-undo")
    answer = reviewer.post(undo + "?status=generated", headers=HTMX)
    assert answer["HX-Push-Url"] == url(project, "conversation-detail", rows[2].pk) + "?status=generated"
    assert [status_of(row) for row in rows[1:]] == ["approved", "generated", "rejected"]
    reviewer.post(undo)
    assert status_of(rows[3]) == "approved"
    reviewer.post(undo)
    assert status_of(rows[3]) == "generated"
    page = reviewer.post(undo, {"conversation": rows[3].pk}, follow=True).content.decode()
    assert "There is no decision of yours to take back." in page
    assert reviewer.post(undo, headers=HTMX)["HX-Redirect"] == url(project, "conversation-list")
    assert status_of(rows[1]) == "approved"


def test_undo_leaves_alone_what_somebody_has_decided_since(
    rows: list[Conversation], project: Project, teammate: User, annotator: User, reviewer: Client, client_of: Clients
) -> None:
    decide(reviewer, rows[0], "approved")
    decide(client_of(teammate), rows[0], "rejected")
    decide(client_of(teammate), rows[0], "approved")
    with pytest.raises(Refused, match="Somebody has changed or decided"):
        reviews.undo_review(project=project, reviewer=annotator)
    assert status_of(rows[0]) == "approved"


def test_undo_stays_in_its_project(rows: list[Conversation], annotator: User, reviewer: Client) -> None:
    decide(reviewer, rows[0], "approved")
    with pytest.raises(Refused):
        reviews.undo_review(project=make_project(annotator), reviewer=annotator)
    assert status_of(rows[0]) == "approved"


@pytest.mark.django_db(transaction=True)
def test_two_reviewers_at_once_each_leave_a_true_history(project: Project, owner: User, teammate: User) -> None:
    row = make_conversation(project)

    def review(user: User, decision: str) -> None:
        try:
            reviews.record_review(conversation=row, reviewer=user, decision=decision, version=row.head_id)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            list(pool.map(review, (owner, teammate), ("approved", "rejected")))
    history = list(Review.objects.order_by("pk").values_list("previous", "decision"))
    assert [previous for previous, _ in history] == ["generated", *(decision for _, decision in history[:-1])]
    assert status_of(row) == history[-1][1]


# -- all ----------------------------------------------------------------------------------------------------------------


def start(client: Client, project: Project, query: str = "", up_to: int = 10**9, **data: str) -> Any:
    return client.post(url(project, "bulk-new") + query, {"up_to": up_to, **data}, follow=True)


def test_the_question_says_how_many_will_change(rows: list[Conversation], project: Project, reviewer: Client) -> None:
    decide(reviewer, rows[0], "approved")
    page = reviewer.get(url(project, "bulk-new"), {"decision": "approved", "q": "question"}).content.decode()
    assert "“question”" in page
    assert "Approve 3 conversations" in page
    page = reviewer.get(url(project, "bulk-new"), {"decision": "approved", "status": "approved"}).content.decode()
    assert "All of them are so already." in page
    page = reviewer.get(url(project, "bulk-new")).content.decode()
    assert "Label 4 conversations" in page


def test_all_that_the_filter_matches_is_approved_and_nothing_else(
    rows: list[Conversation], project: Project, annotator: User, reviewer: Client
) -> None:
    other = make_conversation(project, "Another matter?", "No.")
    foreign = make_conversation(make_project(), "Question?", "Yes.")
    decide(reviewer, rows[0], "flagged")
    page = start(reviewer, project, "?q=question", decision="approved").content.decode()
    assert "Undo" in page
    assert [status_of(row) for row in (*rows, other, foreign)] == ["approved"] * 4 + ["generated"] * 2
    action = BulkAction.objects.get()
    assert (action.state, action.done, action.total, action.actor) == ("done", 4, 4, annotator)
    assert set(action.reviews.values_list("previous", flat=True)) == {"generated", "flagged"}
    assert project.activities.filter(text__contains="4 conversations").exists()


def test_what_came_after_the_question_is_left_alone(
    rows: list[Conversation], project: Project, reviewer: Client
) -> None:
    page = reviewer.get(url(project, "bulk-new"), {"decision": "rejected"})
    late = make_conversation(project, "Question late?", "Yes.")
    start(reviewer, project, up_to=page.context["up_to"], decision="rejected")
    assert status_of(late) == "generated"
    assert {status_of(row) for row in rows} == {"rejected"}


def test_undo_restores_each_earlier_status_but_not_what_was_decided_since(
    rows: list[Conversation], project: Project, owner: User, reviewer: Client, client_of: Clients
) -> None:
    decide(reviewer, rows[0], "flagged")
    start(reviewer, project, decision="approved")
    decide(client_of(owner), rows[1], "rejected")
    add_version(conversation=rows[2], dialog=make_dialog(), origin=Origin.EDITED, author=owner)
    undo = url(project, "bulk-undo", BulkAction.objects.get().pk)
    page = reviewer.post(undo, follow=True).content.decode()
    assert [status_of(row) for row in rows] == ["flagged", "rejected", "generated", "generated"]
    assert "the other 2 had been decided or changed since" in page
    assert BulkAction.objects.get().state == "undone"
    reviewer.post(undo)
    assert status_of(rows[0]) == "flagged"


def test_all_are_labelled_and_undo_takes_off_only_what_it_put_on(
    rows: list[Conversation], project: Project, reviewer: Client
) -> None:
    reviewer.post(url(project, "conversation-label", rows[0].pk), {"name": "old friend"})
    start(reviewer, project, "?q=question", label_name="Old  Friend")
    assert Labelling.objects.filter(label__name="old friend").count() == 4
    reviewer.post(url(project, "bulk-undo", BulkAction.objects.get().pk))
    assert [labelling.conversation for labelling in Labelling.objects.all()] == [rows[0]]


def test_a_label_that_is_made_for_nothing_is_not_kept(project: Project, reviewer: Client) -> None:
    assert start(reviewer, project, label_name="ghost").status_code == 422
    assert not project.labels.exists()


@pytest.mark.parametrize(
    "data",
    [{}, {"decision": "lovely"}, {"decision": "approved", "label_name": "x"}, {"label_name": "x" * 41}, {"up_to": "x"}],
)
def test_nonsense_for_a_bulk_action_changes_nothing(
    data: dict[str, str], rows: list[Conversation], project: Project, reviewer: Client
) -> None:
    assert start(reviewer, project, **{"up_to": 10**9, **data}).status_code == 422
    assert not BulkAction.objects.exists()
    assert {status_of(row) for row in rows} == {"generated"}


def test_what_a_killed_worker_left_is_carried_on_and_done_once(
    rows: list[Conversation], project: Project, annotator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 1)
    wanted = bulk.ConversationFilter(status="generated")
    action = bulk.start_bulk(
        project=project, actor=annotator, filter=wanted, decision="approved", up_to=bulk.newest_id(project)
    )
    assert bulk.advance(action_id=action.pk)
    assert bulk.left_lying() == []
    BulkAction.objects.update(updated=timezone.now() - 2 * bulk.QUIET)
    assert bulk.left_lying() == [action.pk]
    carry_on_bulk(action.pk)
    carry_on_bulk(action.pk)
    action.refresh_from_db()
    assert (action.state, action.done, Review.objects.count()) == ("done", 4, 4)
    assert bulk.left_lying() == []


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_the_same_action_do_each_conversation_once(
    project: Project, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 2)
    for _ in range(12):
        make_conversation(project)
    action = bulk.start_bulk(
        project=project, actor=owner, filter=bulk.ConversationFilter(), decision="approved", up_to=10**9
    )

    def work(_: int) -> None:
        try:
            carry_on_bulk(action.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    action.refresh_from_db()
    assert (action.done, Review.objects.count()) == (12, 12)


def test_a_bulk_action_that_goes_on_asks_for_its_progress_and_says_when_no_worker_listens(
    rows: list[Conversation], project: Project, annotator: User, reviewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.pulse.listens", lambda queue: False)
    action = bulk.start_bulk(
        project=project, actor=annotator, filter=bulk.ConversationFilter(), decision="approved", up_to=10**9
    )
    page = url(project, "bulk-detail", action.pk)
    part = reviewer.get(page, headers=HTMX).content.decode()
    assert 'hx-trigger="every 1s"' in part
    assert "No worker listens" in part
    carry_on_bulk(action.pk)
    assert "hx-trigger" not in reviewer.get(page, headers=HTMX).content.decode()
    assert reviewer.get(url(project, "bulk-detail", action.pk + 1)).status_code == 404


def test_a_project_is_deleted_with_its_conversations_and_all_that_was_decided(
    rows: list[Conversation], project: Project, reviewer: Client
) -> None:
    start(reviewer, project, decision="approved")
    start(reviewer, project, label="odd")
    decide(reviewer, rows[0], "rejected")
    project.delete()
    assert not Conversation.objects.exists()
    assert not Review.objects.exists()


# -- where to begin ------------------------------------------------------------------------------------------------------


def test_review_begins_at_the_newest_that_waits_and_stays_in_the_filter(
    project: Project, rows: list[Conversation], reviewer: Client
) -> None:
    decide(reviewer, rows[3], "approved")
    later = make_conversation(project, "Later?", "Yes.", batch=make_batch(project))
    answer = reviewer.get(url(project, "review-start"), {"batch": rows[0].batch_id, "status": "approved"})
    here = url(project, "conversation-detail", rows[2].pk)
    assert answer["Location"] == f"{here}?status=generated&batch={rows[0].batch_id}"
    answer = reviewer.get(url(project, "review-start"))
    assert answer["Location"] == url(project, "conversation-detail", later.pk) + "?status=generated"


def test_review_of_what_is_decided_leads_to_the_list_and_says_so(
    project: Project, rows: list[Conversation], reviewer: Client
) -> None:
    for row in rows:
        decide(reviewer, row, "approved")
    answer = reviewer.get(url(project, "review-start"), follow=True)
    assert answer.redirect_chain == [(url(project, "conversation-list"), 302)]
    assert "Nothing waits for a verdict." in answer.content.decode()


def test_review_begins_for_reviewers_alone(
    project: Project, rows: list[Conversation], stranger: User, client_of: Clients
) -> None:
    viewer = make_user("vera")
    add_member(project, viewer, Role.VIEWER)
    assert client_of(viewer).get(url(project, "review-start")).status_code == 403
    assert client_of(stranger).get(url(project, "review-start")).status_code == 404
    assert url(project, "review-start") not in client_of(viewer).get(url(project, "conversation-list")).content.decode()


def test_a_verdict_on_what_somebody_else_has_decided_meanwhile_is_asked_for_again(
    rows: list[Conversation], reviewer: Client, teammate: User, client_of: Clients
) -> None:
    decide(client_of(teammate), rows[0], "approved")
    seen = {"decision": "rejected", "version": rows[0].head_id, "seen": "generated"}
    address = url(rows[0].project, "conversation-review", rows[0].pk)
    answer = reviewer.post(address, seen)
    assert answer.status_code == 422
    assert f"{teammate} decided on this while you were reading." in answer.content.decode()
    assert status_of(rows[0]) == "approved"
    assert 'name="seen" value="approved"' in answer.content.decode()
    assert reviewer.post(address, seen | {"seen": "approved"}).status_code == 302
    assert status_of(rows[0]) == "rejected"
    assert decide(reviewer, rows[0], "rejected").status_code == 302
