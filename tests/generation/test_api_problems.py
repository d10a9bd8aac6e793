"""What programs are told when something is wrong: the right status, one clear sentence, and which field it is about."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from datasets.models import Corpus, Project, User
from tests.api_program import Program, refusal
from tests.factories import make_corpus
from tests.generation.api_recipes import recipe_for

pytestmark = pytest.mark.django_db
HOME = "/projects/handbook"


@pytest.fixture
def program(teammate: User) -> Program:
    """Acts for a curator."""
    return Program.of(teammate)


def told(answer: Any, status: int = 422) -> tuple[str, str]:
    sentence = refusal(answer, status)
    return answer.json()["field"], sentence


# -- bodies -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field", "sentence"),
    [
        ({}, "name", "“name” is missing."),
        ({"name": "A", "size": 1}, "size", "“size” is no field here: leave it out, or look up its name"),
        ({"name": "A", "chunk_size": "x"}, "chunk_size", "“chunk_size” should be a valid integer."),
        ({"name": "A", "chunk_size": 10}, "chunk_size", "“chunk_size” should be greater than or equal to 200."),
        ({"name": ["A"]}, "name", "“name” should be a valid string."),
        ({"name": "A" * 101}, "name", "“name” should have at most 100 characters."),
        ([], "", "Send a JSON object as the body of the request"),
        (None, "", "Send a JSON object as the body of the request"),
        ("text", "", "Send a JSON object as the body of the request"),
    ],
)
def test_a_bad_body_is_refused_in_a_sentence(
    project: Project, program: Program, body: Any, field: str, sentence: str
) -> None:
    named, said = told(program.call("POST", f"{HOME}/corpora", body))
    assert (named, said[: len(sentence)]) == (field, sentence)
    assert not Corpus.objects.exists()


def test_every_complaint_is_a_sentence_of_its_own(project: Project, program: Program) -> None:
    answer = program.call("POST", f"{HOME}/corpora", {"chunk_size": 1, "size": 2})
    field, said = told(answer)
    assert field == "chunk_size" or field == "name"
    assert [said.count(f"“{name}”") for name in ("name", "chunk_size", "size")] == [1, 1, 1]


@pytest.mark.parametrize("body", ["{", "nothing", "a=1", "\udcff"])
def test_a_body_that_is_no_json_is_answered_with_400(project: Project, program: Program, body: str) -> None:
    answer = program.client.post(
        f"/api/v1{HOME}/corpora", body.encode("utf-8", "surrogateescape"), content_type="application/json"
    )
    assert "JSON object" in told(answer, 400)[1]


def test_a_body_that_is_too_large_is_answered_with_413(project: Project, program: Program, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    answer = program.call("POST", f"{HOME}/corpora", {"name": "A", "description": "x" * 2000})
    assert "larger than" in told(answer, 413)[1]


@pytest.mark.parametrize(
    ("change", "field", "part"),
    [
        ({"product": {"kind": "pears"}}, "recipe.product", "none of these: 'dialogs'"),
        ({"product": {}}, "recipe.product", "has no 'kind'"),
        ({"product": 3}, "recipe.product", "should be"),
        ({"product": {"kind": "rows"}}, "recipe.product.form", "“recipe.product.form” is missing."),
        ({"product": {"kind": "dialogs", "shape": 1}}, "recipe.product.shape", "is no field here"),
        ({"stopping": [{"kind": "all", "rules": [{"kind": "personas", "number": 0}]}]},
         "recipe.stopping.0.rules.0.number", "greater than or equal to 1"),
        ({"stopping": [{"kind": "personas", "number": 3}]}, "recipe.personas", "A rule on personas needs personas"),
        ({"product": {"kind": "pairs"}}, "recipe.judge", "Comparing answers needs a judge"),
        ({"models": {}}, "recipe", "Choose an endpoint for"),
    ],
)  # fmt: skip
def test_a_bad_recipe_names_the_field_as_it_was_sent(
    project: Project, program: Program, change: dict[str, Any], field: str, part: str
) -> None:
    recipe = recipe_for(project, corpus=None) | {"retrieval": {"when": "never"}} | change
    named, said = told(program.call("POST", f"{HOME}/runs", {"recipe": recipe}))
    assert named == field
    assert part in said


def test_what_a_body_names_and_the_project_lacks_is_refused_with_its_field(project: Project, program: Program) -> None:
    corpus = make_corpus(project)
    assert (
        told(program.call("POST", f"{HOME}/persona-growths", {"corpus": corpus.pk, "endpoint": 10**9}))[0] == "endpoint"
    )
    assert told(program.call("POST", f"{HOME}/persona-growths", {"corpus": 10**9, "endpoint": 1}))[0] == "corpus"
    path = f"{HOME}/corpora/{corpus.pk}/embedding"
    assert "nothing in this project" in told(program.call("PUT", path, {"endpoint": 10**9}))[1]


# -- addresses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["conversations", "corpora", "runs", "metrics"])
def test_a_misspelt_parameter_is_refused_rather_than_ignored(project: Project, program: Program, path: str) -> None:
    field, said = told(program.call("GET", f"{HOME}/{path}", statuss="approved"))
    assert field == "statuss"
    assert "it takes" in said


def test_a_misspelt_parameter_of_an_address_without_any_is_refused(project: Project, program: Program) -> None:
    assert "it takes none" in told(program.call("GET", HOME, x="1"))[1]
    assert "nothing here" in told(program.call("GET", "/nothing", x="1"), 404)[1]
    refusal(Program().call("GET", HOME, x="1"), 401)


@pytest.mark.parametrize(
    ("query", "field", "part"),
    [
        ({"limit": "0"}, "limit", "“limit” should be greater than or equal to 1."),
        ({"limit": "x"}, "limit", "“limit” should be a valid integer."),
        ({"cursor": "-1"}, "cursor", "“cursor” should be greater than or equal to 1."),
        ({"cursor": "9" * 30}, "cursor", "“cursor” should be less than"),
        ({"status": "great"}, "status", "“status” should be 'generated'"),
        ({"pick": "1,2"}, "pick.0", "“pick.0” should be a valid integer."),
        ({"turns_min": "5", "turns_max": "1"}, "", "The fewest turns are more than the most turns: swap them."),
    ],
)
def test_a_bad_parameter_is_refused_in_a_sentence(
    project: Project, program: Program, query: dict[str, str], field: str, part: str
) -> None:
    named, said = told(program.call("GET", f"{HOME}/conversations", **query))
    assert named == field
    assert said.startswith(part)


def test_a_method_that_an_address_does_not_take_is_answered_as_any_refusal(project: Project, program: Program) -> None:
    answer = program.call("DELETE", f"{HOME}/corpora")
    assert "does not take that method" in told(answer, 405)[1]
    assert "POST" in answer["Allow"]


def test_what_goes_wrong_in_the_server_is_told_in_the_same_shape(
    project: Project, teammate: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program.of(teammate)
    program.client.raise_request_exception = False
    monkeypatch.setattr("datasets.api.projects.overview_of", lambda project: 1 / 0)
    assert "broke on the server" in told(program.call("GET", HOME), 500)[1]


def test_pages_keep_their_own_refusals(project: Project, client: Client) -> None:
    assert client.delete("/login/").headers["Content-Type"] != "application/json"
