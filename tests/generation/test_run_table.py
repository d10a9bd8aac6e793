"""Pages of runs that make rows: the table, and how the run's own page speaks of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from datasets.models import Project, User
from generation.engine.protocols import Attempt, Made
from generation.models import Run
from tests.factories import make_dialog
from tests.generation.runs import landed, launched

ClientOf = Callable[[User], Client]
pytestmark = pytest.mark.django_db
FORM = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "minutes": {"type": "integer"}, "tags": {"type": "array"}},
}


def rows_run(project: Project, **changes: Any) -> Run:
    return launched(project, name="Cards", product={"kind": "rows", "form": FORM}, **changes)


def row(question: str, **output: Any) -> Made:
    return Made((Attempt(make_dialog(question, "{}", output=output)),))


def at(run: Run, name: str = "run-table") -> str:
    return reverse(f"generation:{name}", args=[run.project.slug, run.pk])


def page(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_rows_stand_in_a_table_of_the_schemas_properties_made_safe(
    project: Project, annotator: User, teammate: User, stranger: User, client_of: ClientOf
) -> None:
    made = row("Make a <b>card</b>.", title="<script>x</script>", minutes=7, tags=["a", {"b": 1}], more="unasked")
    run = landed(rows_run(project, conversations=2), made, row("Another.", title="x" * 5000))
    said = page(client_of(annotator), at(run))
    for text in (
        "title",
        "minutes",
        "tags",
        "&lt;script&gt;x",
        "Make a &lt;b&gt;card",
        "[&quot;a&quot;, {&quot;b&quot;: 1}]",
    ):
        assert text in said
    assert "<script>x" not in said
    assert "unasked" not in said
    assert "x" * 400 not in said
    conversation = project.conversations.get(opening__startswith="Make")
    assert reverse("datasets:conversation-detail", args=[project.slug, conversation.pk]) in said
    assert "format=rows" not in said
    assert "format=rows" in page(client_of(teammate), at(run))
    assert client_of(stranger).get(at(run)).status_code == 404
    assert Client().get(at(run)).status_code == 302


def test_columns_stand_in_the_order_in_which_the_schema_was_written(
    project: Project, owner: User, client_of: ClientOf
) -> None:
    names = ["why", "a", "summary", "b"]
    form = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
    run = launched(project, product={"kind": "rows", "form": json.dumps(form)})
    assert client_of(owner).get(at(run)).context["columns"] == names


def test_a_run_of_another_project_or_of_conversations_has_no_table(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    assert client_of(teammate).get(at(launched(project))).status_code == 404
    assert client_of(teammate).get(at(rows_run(project)).replace("handbook", "nowhere")).status_code == 404


def test_a_table_without_rows_says_so(project: Project, owner: User, client_of: ClientOf) -> None:
    assert "No rows yet" in page(client_of(owner), at(rows_run(project)))


def test_long_tables_are_read_page_by_page_in_few_queries(
    project: Project, owner: User, client_of: ClientOf, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    run = landed(rows_run(project, conversations=60), *(row(f"Number {n}?", title=f"Card {n}") for n in range(60)))
    client = client_of(owner)
    with django_assert_max_num_queries(14):
        first = page(client, at(run))
    assert first.count("Number ") == 50
    older = client.get(at(run)).context["page"].after
    second = page(client, f"{at(run)}?after={older}")
    assert second.count("Number ") == 10
    assert "Number 0?" in second
    assert page(client, f"{at(run)}?after=nonsense").count("Number ") == 50


def test_the_page_of_a_run_speaks_of_rows_and_leads_to_the_table(
    project: Project, annotator: User, client_of: ClientOf
) -> None:
    run = landed(rows_run(project, conversations=1), row("Make a card.", title="A"))
    said = page(client_of(annotator), at(run, "run-detail"))
    assert at(run) in said
    assert "Latest rows" in said
    assert "Make a card." in said
    plain = page(client_of(annotator), at(launched(project), "run-detail"))
    assert "Latest conversations" in plain
    assert "/table/" not in plain
