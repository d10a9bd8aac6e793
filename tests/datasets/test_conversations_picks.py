"""Conversations that are picked one by one, and what is done with them: the same as with all that a filter matches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets.filters import PICKED
from datasets.models import BulkAction, Conversation, Export, Labelling, Project, Report, Role, User
from tests.api_program import Program
from tests.factories import add_member, make_conversation, make_project, make_user

pytestmark = pytest.mark.django_db
Clients = Callable[[User], Client]


def url(project: Project, name: str, *args: Any) -> str:
    return reverse(f"datasets:{name}", args=[project.slug, *args])


def statuses(rows: list[Conversation]) -> list[str]:
    return [Conversation.objects.values_list("status", flat=True).get(pk=row.pk) for row in rows]


def picked(*rows: Conversation, **more: Any) -> str:
    """The query that a browser makes of the form around the list."""
    return "?" + "&".join([*(f"{name}={value}" for name, value in more.items()), *(f"pick={row.pk}" for row in rows)])


def decide(client: Client, project: Project, query: str, **data: Any) -> Any:
    return client.post(url(project, "bulk-new") + query, {"up_to": 10**9, **data}, follow=True)


@pytest.fixture
def rows(project: Project) -> list[Conversation]:
    """Oldest first."""
    return [make_conversation(project, f"Question {n}?", "Yes.") for n in range(5)]


@pytest.fixture
def reviewer(annotator: User, client_of: Clients) -> Client:
    return client_of(annotator)


@pytest.fixture
def curator(teammate: User, client_of: Clients) -> Client:
    return client_of(teammate)


# -- the list -----------------------------------------------------------------------------------------------------------


def test_each_row_has_a_box_for_who_may_review_and_the_form_keeps_the_filter(
    rows: list[Conversation], project: Project, reviewer: Client
) -> None:
    page = reviewer.get(url(project, "conversation-list"), {"q": "question", "status": "generated"}).content.decode()
    assert all(f'name="pick" value="{row.pk}"' in page for row in rows)
    assert '<input type="hidden" name="q" value="question">' in page
    assert '<input type="hidden" name="status" value="generated">' in page
    assert f'formaction="{url(project, "bulk-new")}" name="decision" value="approved"' in page
    assert url(project, "export-new") not in page


def test_who_only_reads_has_no_boxes(rows: list[Conversation], project: Project, client_of: Clients) -> None:
    viewer = make_user("vera")
    add_member(project, viewer, Role.VIEWER)
    page = client_of(viewer).get(url(project, "conversation-list")).content.decode()
    assert f"/{rows[0].pk}/" in page
    assert 'name="pick"' not in page


def test_those_that_are_picked_can_be_listed_and_walked_through(
    rows: list[Conversation], project: Project, reviewer: Client
) -> None:
    context = reviewer.get(url(project, "conversation-list") + picked(rows[4], rows[0], rows[2])).context
    assert [row.pk for row in context["page"].rows] == [rows[4].pk, rows[2].pk, rows[0].pk]
    assert context["form"].chips == [("picked: 3", "")]
    query = picked(rows[4], rows[0], rows[2])
    detail = reviewer.get(url(project, "conversation-detail", rows[2].pk) + query).context
    assert (detail["next"], detail["previous"]) == (rows[0].pk, rows[4].pk)


@pytest.mark.parametrize("query", ["?pick=x", "?pick=-1", "?pick=0", "?pick=1&pick=", f"?pick={2**63}"])
def test_what_is_no_conversation_is_refused_rather_than_taken_for_all(
    query: str, rows: list[Conversation], project: Project, curator: Client
) -> None:
    assert curator.get(url(project, "conversation-list") + query).status_code == 422
    assert decide(curator, project, query, decision="approved").status_code == 400
    assert statuses(rows) == ["generated"] * 5


def test_no_more_are_picked_than_an_address_holds(project: Project, curator: Client) -> None:
    query = "?" + "&".join(f"pick={n}" for n in range(1, PICKED + 2))
    answer = curator.get(url(project, "conversation-list") + query)
    assert answer.status_code == 422
    assert f"More than {PICKED} conversations are picked" in answer.content.decode()
    assert curator.get(url(project, "bulk-new") + query).status_code == 400


# -- decisions ----------------------------------------------------------------------------------------------------------


def test_those_that_are_picked_are_decided_and_undo_brings_them_back(
    rows: list[Conversation], project: Project, reviewer: Client
) -> None:
    query = picked(rows[1], rows[3], status="generated")
    question = reviewer.get(url(project, "bulk-new") + query + "&decision=approved").content.decode()
    assert "Approve 2 conversations" in question
    page = decide(reviewer, project, query, decision="approved").content.decode()
    assert statuses(rows) == ["generated", "approved", "generated", "approved", "generated"]
    assert f'href="{url(project, "conversation-list")}?status=generated"' in page  # nothing is picked any more
    reviewer.post(url(project, "bulk-undo", BulkAction.objects.get().pk))
    assert statuses(rows) == ["generated"] * 5


def test_those_that_are_picked_are_labelled(rows: list[Conversation], project: Project, reviewer: Client) -> None:
    decide(reviewer, project, picked(rows[0], rows[4]), label_name="odd")
    assert set(Labelling.objects.values_list("conversation", flat=True)) == {rows[0].pk, rows[4].pk}


def test_what_no_longer_matches_is_counted_and_left_alone(
    rows: list[Conversation], project: Project, reviewer: Client
) -> None:
    Conversation.objects.filter(pk=rows[0].pk).update(status="flagged")
    query = picked(rows[0], rows[1], status="generated")
    question = reviewer.get(url(project, "bulk-new") + query + "&decision=approved").content.decode()
    assert "Approve 1 conversation" in question
    assert "still matches the filter" in question
    decide(reviewer, project, query, decision="approved")
    assert statuses(rows[:2]) == ["flagged", "approved"]


def test_a_filter_by_label_is_not_taken_for_the_label_to_put_on(
    rows: list[Conversation], project: Project, reviewer: Client
) -> None:
    reviewer.post(url(project, "conversation-label", rows[0].pk), {"name": "odd"})
    label = project.labels.get()
    form = reviewer.get(url(project, "bulk-new"), {"label": label.pk}).context["form"]
    assert form["label_name"].value() is None


def test_conversations_of_another_project_are_never_meant(
    rows: list[Conversation], project: Project, stranger: User, curator: Client
) -> None:
    foreign = make_conversation(make_project(stranger), "Question?", "Yes.")
    assert decide(curator, project, picked(foreign), decision="approved").status_code == 422
    assert not BulkAction.objects.exists()
    decide(curator, project, picked(foreign, rows[0]), decision="approved")
    assert statuses([foreign, *rows[:2]]) == ["generated", "approved", "generated"]


def test_a_stranger_is_not_let_in_and_an_annotator_only_where_they_may(
    rows: list[Conversation], project: Project, stranger: User, reviewer: Client, client_of: Clients
) -> None:
    outside = client_of(stranger)
    assert decide(outside, project, picked(rows[0]), decision="approved").status_code == 404
    assert outside.get(url(project, "conversation-list") + picked(rows[0])).status_code == 404
    assert outside.get(url(project, "export-new") + picked(rows[0])).status_code == 404
    assert reviewer.get(url(project, "export-new") + picked(rows[0])).status_code == 403
    improve = reverse("generation:improvement-new", args=[project.slug])
    assert reviewer.get(improve + picked(rows[0])).status_code == 403
    assert statuses(rows[:1]) == ["generated"]


# -- files, reports, improvements -----------------------------------------------------------------------------------------


def test_those_that_are_picked_are_exported_and_reported_on(
    rows: list[Conversation], project: Project, curator: Client
) -> None:
    ids = [rows[1].pk, rows[3].pk]
    page = curator.get(url(project, "export-new") + picked(rows[1], rows[3], status=""))
    assert page.context["count"] == 2
    assert all(f'<input type="hidden" name="pick" value="{pk}"' in page.content.decode() for pk in ids)
    curator.post(url(project, "export-new"), {"pick": ids, "status": "", "format": "messages"})
    export = Export.objects.get()
    assert (export.rows, export.filter) == (2, {"pick": ids})
    assert "picked: 2" in curator.get(url(project, "export-detail", export.pk)).content.decode()

    assert curator.get(url(project, "report-new") + picked(rows[1], rows[3])).context["count"] == 2
    curator.post(url(project, "report-new"), {"pick": ids})
    assert (Report.objects.get().rows, Report.objects.get().about) == (2, "picked: 2")


def test_those_that_are_picked_are_what_is_improved(
    rows: list[Conversation], project: Project, curator: Client
) -> None:
    address = reverse("generation:improvement-new", args=[project.slug]) + picked(rows[1], rows[3])
    page = curator.get(address)
    assert page.context["filter"].pick == (rows[1].pk, rows[3].pk)
    assert "2 conversations</a> that you picked" in page.content.decode()


def test_programs_pick_as_people_do(rows: list[Conversation], project: Project, teammate: User) -> None:
    program = Program.of(teammate)
    home = f"/projects/{project.slug}"
    found = program.get(f"{home}/conversations", pick=[rows[0].pk, rows[2].pk], status="generated")
    assert [row["id"] for row in found["items"]] == [rows[2].pk, rows[0].pk]
    export = program.post(f"{home}/exports", {"filter": {"pick": [rows[0].pk, rows[0].pk]}})
    assert (export["rows"], export["filter"]) == (1, {"pick": [rows[0].pk]})
