"""Improvements through the API: reckoned, started, read, accepted and declined by a program."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from datasets.models import Conversation, Project, User
from datasets.services.curating.conversations import add_version
from generation.models import Improvement, ImprovementItem
from tests.api_program import Program, refusal
from tests.factories import make_dialog
from tests.generation.improving import judged, proposed

pytestmark = pytest.mark.django_db
ALL = "/projects/handbook/improvements"


@pytest.fixture
def program(teammate: User) -> Program:
    """Acts for a curator."""
    return Program.of(teammate)


@pytest.fixture
def item(project: Project) -> ImprovementItem:
    return proposed(project, judged(project, "How?", "Hold the button."), "Hold the knob.")


def spoken(project: Project) -> dict[str, Any]:
    model = {"endpoint": project.endpoints.get().pk}
    return {"models": dict.fromkeys(("respondent", "correspondent", "judge"), model)}


def test_what_is_reckoned_is_what_is_started(
    project: Project, program: Program, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    low, _high = judged(project, score=0.3), judged(project, score=0.9)
    body = {"filter": {"score_max": 0.5}, "how": {"instruction": "Shorter.", **spoken(project)}}
    reckoned = program.post(f"{ALL}/estimate", body)
    assert (reckoned["conversations"], reckoned["calls"], reckoned["offline"]) == (1, 2, True)
    assert not Improvement.objects.exists()
    with django_capture_on_commit_callbacks() as hints:
        started = program.post(ALL, body)
    assert (started["state"], started["conversations"], started["how"]["instruction"]) == ("running", 1, "Shorter.")
    assert len(hints) == 1
    (item,) = program.get(f"{ALL}/{started['id']}/proposals")["items"]
    assert (item["conversation"], item["state"], item["version"], item["base"]) == (
        low.pk,
        "pending",
        None,
        low.head_id,
    )


def test_named_conversations_are_improved(project: Project, program: Program) -> None:
    one, _other = judged(project), judged(project)
    started = program.post(ALL, {"filter": {"pick": [one.pk]}, "how": spoken(project)})
    assert started["conversations"] == 1


def test_a_proposal_is_read_and_accepted_with_the_head_that_was_read(program: Program, item: ImprovementItem) -> None:
    here = f"{ALL}/{item.improvement_id}/proposals/{item.pk}"
    read = program.get(here)
    assert [message["content"] for message in read["messages"]] == ["How?", "Hold the knob."]
    assert (read["before"], read["after"], read["feedback"]) == (0.4, 0.8, "Fine now.")
    edited = add_version(conversation=item.conversation, dialog=make_dialog("How?", "Press it."), origin="edited")
    answer = program.call("POST", f"{here}/accept", {"head": read["head"]})
    assert "Another version counts" in refusal(answer, 409)
    assert answer.json()["field"] == "head"
    assert program.get(here)["head"] == edited.pk
    accepted = program.post(f"{here}/accept", {"head": edited.pk})
    assert (accepted["state"], accepted["head"]) == ("accepted", item.proposal_id)


def test_a_proposal_is_declined(program: Program, item: ImprovementItem) -> None:
    assert program.post(f"{ALL}/{item.improvement_id}/proposals/{item.pk}/decline")["state"] == "declined"
    assert Conversation.objects.get(pk=item.conversation_id).head_id == item.base_id


def test_all_that_score_better_are_accepted(program: Program, item: ImprovementItem) -> None:
    program.post(f"{ALL}/{item.improvement_id}/accept-better")
    item.refresh_from_db()
    assert item.state == "accepted"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"filter": {"statu": "approved"}}, "filter.statu"),
        ({"how": {"start": "end"}}, "how.start"),
        ({"how": {"instruction": "x" * 5_001}}, "how.instruction"),
        ({"filter": {"pick": [0]}}, "filter.pick"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(
    project: Project, program: Program, body: dict[str, Any], said: str
) -> None:
    judged(project)
    assert said in refusal(program.call("POST", ALL, body), 422)
