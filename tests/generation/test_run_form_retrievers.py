"""The run form: what is retrieved from, by fields and as YAML, and what the page says beside its fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from django.test import Client
from django.urls import reverse

from datasets.models import Project, SourceFile, User
from generation.forms.recipes import initial_from
from generation.models import Run
from tests.factories import make_project
from tests.generation.api_recipes import passages_of
from tests.generation.runs import expert, recipe

ClientOf = Callable[[User], Client]
pytestmark = pytest.mark.django_db


def address(project: Project) -> str:
    return reverse("generation:run-new", args=[project.slug])


def shown(client: Client, project: Project, query: str = "") -> dict[str, Any]:
    """What a browser would post if the form were sent as it first stands."""
    return dict(client.get(address(project) + query).context["form"].as_posted().data)


# -- what is retrieved from ------------------------------------------------------------------------------------------------


def test_several_retrievers_are_chosen_by_fields_and_come_back_into_them(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    corpus = passages_of(project, 3)
    expert(project)
    client = client_of(teammate)
    said = {
        "retriever": "ensemble",
        "member_0": f"corpus:{corpus}",
        "member_weight_0": "2",
        "member_3": "text",
        "retriever_text": "House rule one.\r\nHouse rule two.",
    }
    assert client.post(address(project), shown(client, project) | said).status_code == 302
    run = Run.objects.get()
    text = {"kind": "text", "text": "House rule one.\nHouse rule two.", "title": "Notes"}
    assert run.spec["retrieval"]["retriever"] == {
        "kind": "ensemble",
        "members": [
            {"retriever": {"kind": "corpus", "corpus": corpus}, "weight": 2.0},
            {"retriever": text, "weight": 1.0},
        ],
    }
    again = shown(client, project, f"?run={run.pk}")
    assert "more" not in again
    assert (again["retriever"], again["member_0"], again["member_1"]) == ("ensemble", f"corpus:{corpus}", "text")


@pytest.mark.parametrize(
    "tree",
    [
        {"kind": "chain", "retrievers": [{"kind": "chain", "retrievers": [{"kind": "corpus"}]}]},
        {"kind": "chain", "retrievers": [{"kind": "corpus"}] * 5},
        {"kind": "custom", "name": "glossary", "options": {"path": "/srv"}},
        {"kind": "ensemble", "members": [{"retriever": {"kind": "corpus"}, "weight": 0.0001}]},
    ],
)
def test_what_the_fields_cannot_say_of_a_retriever_stands_whole_in_the_yaml(
    project: Project, tree: dict[str, Any]
) -> None:
    spec = recipe(project, retrieval={"retriever": tree})
    initial = initial_from(spec)
    assert initial["retriever"] == ""
    assert yaml.safe_load(initial["more"])["retrieval"]["retriever"] == tree


def test_a_corpus_of_another_project_is_not_retrieved_from(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    expert(project)
    foreign, client = passages_of(make_project(), 1), client_of(teammate)
    answer = client.post(address(project), shown(client, project) | {"retriever": f"corpus:{foreign}"})
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["retriever"]


# -- what the page says ----------------------------------------------------------------------------------------------------


def test_the_form_says_that_rules_let_conversations_in_flight_finish(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    assert b"those in flight are finished" in client_of(teammate).get(address(project)).content


def test_a_run_can_begin_from_the_page_of_its_corpus(
    project: Project, teammate: User, stranger: User, client_of: ClientOf
) -> None:
    older, newer = passages_of(project, 1), passages_of(project, 1)
    client = client_of(teammate)
    assert (shown(client, project)["corpus"], shown(client, project, f"?corpus={older}")["corpus"]) == (newer, older)
    foreign = passages_of(make_project(), 1)
    assert client.get(address(project) + f"?corpus={foreign}").status_code == 404
    SourceFile.objects.filter(corpus=older).update(passage_count=1)
    page = client.get(reverse("datasets:corpus-detail", args=[project.slug, older])).content.decode()
    assert f"{address(project)}?corpus={older}" in page
