"""Criteria of a project's own: made, changed, archived; by curators, through pages and API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets.models import Criterion, Project, User
from datasets.models.quality import BUILT_IN_CRITERIA
from datasets.services.criteria import save_criterion
from generation.engine.judging import MODEL_CRITERIA, VECTOR_CRITERIA
from tests.api_program import Program, refusal

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]
FIELDS = {"name": "Tone", "description": "Warm and brief. Bad: cold.", "weight": "2.5", "needs_passages": "on"}


def url(project: Project, name: str = "criterion-list", *args: Any) -> str:
    return reverse(f"datasets:{name}", args=[project.slug, *args])


@pytest.fixture
def tone(project: Project) -> Criterion:
    return save_criterion(project=project, name="Tone", description="Warm.")


def test_a_curator_makes_a_criterion_and_finds_it_in_the_list(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    client = client_of(teammate)
    answer = client.post(url(project, "criterion-new"), FIELDS)
    assert answer["Location"] == url(project)
    row = project.criteria.get()
    assert (row.name, row.description, row.weight, row.needs_passages) == ("Tone", FIELDS["description"], 2.5, True)
    page = client.get(url(project)).content.decode()
    assert "Warm and brief." in page
    assert "with passages" in page


def test_the_list_says_what_is_built_in(project: Project, annotator: User, client_of: ClientOf) -> None:
    page = client_of(annotator).get(url(project)).content.decode()
    assert "Vector grounding" in page
    assert "New criterion" not in page
    assert set(BUILT_IN_CRITERIA) == {*MODEL_CRITERIA, *VECTOR_CRITERIA}


def test_a_criterion_is_changed_in_place(
    project: Project, tone: Criterion, teammate: User, client_of: ClientOf
) -> None:
    client = client_of(teammate)
    assert "Warm." in client.get(url(project, "criterion-detail", tone.pk)).content.decode()
    client.post(url(project, "criterion-detail", tone.pk), FIELDS | {"name": "Manner"})
    tone.refresh_from_db()
    assert (tone.name, tone.weight) == ("Manner", 2.5)
    assert project.criteria.count() == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Tone"}, "Another criterion has that name"),
        ({"name": "  "}, "This field is required"),
        ({"name": "Grounding"}, "“Grounding” is a built-in criterion"),
        ({"name": "Vector  grounding"}, "is a built-in criterion"),
        ({"description": ""}, "This field is required"),
        ({"weight": "0"}, "greater than or equal to 0.01"),
        ({"weight": "nan"}, "Enter a number"),
    ],
)
def test_what_cannot_be_is_refused_beside_its_field(
    change: dict[str, str], words: str, project: Project, tone: Criterion, teammate: User, client_of: ClientOf
) -> None:
    answer = client_of(teammate).post(url(project, "criterion-new"), {**FIELDS, "name": "Manner", **change})
    assert answer.status_code == 422
    assert project.criteria.count() == 1
    assert words in answer.content.decode()


def test_a_refused_change_leaves_the_criterion_and_its_title_as_they_were(
    project: Project, tone: Criterion, teammate: User, client_of: ClientOf
) -> None:
    save_criterion(project=project, name="Manner", description="Polite.")
    answer = client_of(teammate).post(url(project, "criterion-detail", tone.pk), FIELDS | {"name": "Manner"})
    assert answer.status_code == 422
    assert "<h1>Tone" in answer.content.decode()
    tone.refresh_from_db()
    assert tone.name == "Tone"


def test_an_archived_criterion_leaves_the_list_and_comes_back(
    project: Project, tone: Criterion, teammate: User, client_of: ClientOf
) -> None:
    client = client_of(teammate)
    client.post(url(project, "criterion-archive", tone.pk))
    assert not project.criteria.usable().exists()
    assert "Tone" not in client.get(url(project)).content.decode()
    assert "Tone" in client.get(url(project) + "?archived").content.decode()
    client.post(url(project, "criterion-archive", tone.pk))
    assert project.criteria.usable().get() == tone


def test_annotators_read_and_strangers_find_nothing(
    project: Project, tone: Criterion, annotator: User, stranger: User, client_of: ClientOf
) -> None:
    reader, outside = client_of(annotator), client_of(stranger)
    detail, archive = url(project, "criterion-detail", tone.pk), url(project, "criterion-archive", tone.pk)
    assert "Warm." in reader.get(detail).content.decode()
    for address in (detail, archive, url(project, "criterion-new")):
        assert reader.post(address, FIELDS).status_code == 403
        assert outside.post(address, FIELDS).status_code == 404
    assert outside.get(detail).status_code == 404
    theirs = stranger.projects.get()
    assert outside.get(url(theirs, "criterion-detail", tone.pk)).status_code == 404
    tone.refresh_from_db()
    assert (tone.name, tone.archived) == ("Tone", False)


def test_markup_in_a_criterion_is_only_text(project: Project, teammate: User, client_of: ClientOf) -> None:
    hostile = "</textarea><script>alert(1)</script>"
    row = save_criterion(project=project, name="<b>x</b>", description=hostile)
    client = client_of(teammate)
    for page in (client.get(url(project)), client.get(url(project, "criterion-detail", row.pk))):
        assert "<script>alert" not in page.content.decode()
        assert "<b>x</b>" not in page.content.decode()


# -- through the API ----------------------------------------------------------------------------------------------------


def test_a_program_makes_lists_and_changes_criteria(project: Project, teammate: User) -> None:
    program, address = Program.of(teammate), f"/projects/{project.slug}/criteria"
    made = program.post(address, {"name": "Tone", "description": "Warm."})
    assert (made["weight"], made["needs_passages"], made["archived"]) == (1, False, False)
    body = {"name": "Tone", "description": "Warmer.", "weight": 3, "needs_passages": True}
    changed = program.call("PUT", f"{address}/{made['id']}", body).json()
    assert (changed["id"], changed["description"], changed["weight"]) == (made["id"], "Warmer.", 3)
    assert program.get(address)["items"] == [changed]
    assert program.get(address + "?archived=true")["items"] == []


def test_the_api_refuses_what_the_page_refuses(
    project: Project, tone: Criterion, teammate: User, annotator: User, stranger: User
) -> None:
    address, body = f"/projects/{project.slug}/criteria", {"name": "Tone", "description": "Warm."}
    assert "has that name" in refusal(Program.of(teammate).call("POST", address, body), 422)
    assert "built-in" in refusal(Program.of(teammate).call("POST", address, body | {"name": "Grounding"}), 422)
    refusal(Program.of(annotator).call("POST", address, body), 403)
    refusal(Program.of(stranger).call("GET", address), 404)
    assert project.criteria.count() == 1
