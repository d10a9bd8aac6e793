"""What the page of a run says and offers once it has ended."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from datasets.models import Project, User
from generation.models import Run
from tests.generation.runs import landed, launched, made

ClientOf = Callable[[User], Client]
pytestmark = pytest.mark.django_db


@pytest.fixture
def run(project: Project, owner: User) -> Run:
    return launched(project, user=owner, conversations=6)


def page(client: Client, run: Run) -> str:
    return client.get(reverse("generation:run-detail", args=[run.project.slug, run.pk])).content.decode()


def test_a_run_that_has_ended_says_what_its_judge_thought_on_average(
    run: Run, owner: User, client_of: ClientOf
) -> None:
    landed(run, made("What is it?"), made("Why?"))
    first, second = run.batch.conversations.order_by("pk").values_list("pk", flat=True)[:2]
    run.batch.conversations.filter(pk=first).update(score=0.5)
    run.batch.conversations.filter(pk=second).update(score=1)
    client = client_of(owner)
    assert "on average, of 0 to 1" not in page(client, run)
    Run.objects.filter(pk=run.pk).update(state=Run.State.STOPPED)
    shown = page(client, run)
    assert "0.75" in shown
    assert "on average, of 0 to 1; 2 judged" in shown


def test_review_is_offered_where_a_run_has_ended_and_something_was_made(
    run: Run, owner: User, client_of: ClientOf
) -> None:
    address = reverse("datasets:review-start", args=[run.project.slug]) + f"?batch={run.batch_id}"
    client = client_of(owner)
    landed(run, made("What is it?"))
    assert address not in page(client, run)
    Run.objects.filter(pk=run.pk).update(state=Run.State.DONE)
    assert address in page(client, run)
