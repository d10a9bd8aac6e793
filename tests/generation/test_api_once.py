"""Requests that are sent twice: with a key of the sender's they are done once."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponse

from afterimage_web import api_once
from datasets.models import ApiToken, Corpus, Project, User
from generation.models import Run
from tests.api_program import ROOT, Program, refusal
from tests.factories import add_member, make_user
from tests.generation.api_recipes import recipe_for

pytestmark = pytest.mark.django_db
HOME = "/projects/handbook"


@pytest.fixture
def program(project: Project, teammate: User) -> Program:
    return Program.of(teammate)


def send(program: Program, path: str, body: Any, key: str) -> HttpResponse:
    return program.client.post(ROOT + path, body, content_type="application/json", headers={"Idempotency-Key": key})


def test_a_run_that_is_launched_twice_with_one_key_is_launched_once(program: Program, project: Project) -> None:
    body = {"recipe": recipe_for(project, corpus=None)}
    first, second = send(program, f"{HOME}/runs", body, "nightly"), send(program, f"{HOME}/runs", body, "nightly")
    assert (first.status_code, second.status_code, Run.objects.count()) == (201, 201, 1)
    assert second.content == first.content
    assert second["Idempotent-Replay"] == "true"
    assert send(program, f"{HOME}/runs", body, "tomorrow").status_code == 201
    assert Run.objects.count() == 2


def test_one_key_for_two_requests_is_refused(program: Program) -> None:
    assert send(program, f"{HOME}/corpora", {"name": "A"}, "k").status_code == 201
    answer = send(program, f"{HOME}/corpora", {"name": "B"}, "k")
    assert "another request" in refusal(answer, 422)
    assert answer.json()["field"] == "Idempotency-Key"
    assert Corpus.objects.count() == 1


def test_what_was_refused_may_be_mended_and_sent_again(program: Program) -> None:
    refusal(send(program, f"{HOME}/corpora", {"nam": "A"}, "k"), 422)
    assert send(program, f"{HOME}/corpora", {"name": "A"}, "k").status_code == 201


def test_a_request_that_is_being_done_is_not_begun_again(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_once.cache, "set", lambda *_: None)  # as while the first one is still at it
    assert send(program, f"{HOME}/corpora", {"name": "A"}, "k").status_code == 201
    assert "being done" in refusal(send(program, f"{HOME}/corpora", {"name": "A"}, "k"), 409)
    assert Corpus.objects.count() == 1


def test_a_request_that_broke_off_may_be_sent_again(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program.client.raise_request_exception = False
    with monkeypatch.context() as broken:
        broken.setattr("datasets.api.corpora.find_corpus", lambda *_: 1 / 0)
        assert send(program, f"{HOME}/corpora", {"name": "A"}, "k").status_code == 500
    assert send(program, f"{HOME}/corpora", {"name": "B"}, "k").status_code == 201


def test_everybody_has_keys_of_their_own(program: Program, project: Project) -> None:
    other = make_user()
    add_member(project, other, "curator")
    assert send(program, f"{HOME}/corpora", {"name": "A"}, "k").status_code == 201
    assert send(Program.of(other), f"{HOME}/corpora", {"name": "B"}, "k").status_code == 201
    refusal(send(Program(), f"{HOME}/corpora", {"name": "A"}, "k"), 401)


def test_a_token_that_was_revoked_is_told_nothing_again(program: Program, teammate: User) -> None:
    assert send(program, f"{HOME}/corpora", {"name": "A"}, "k").status_code == 201
    ApiToken.objects.filter(user=teammate).delete()
    answer = send(program, f"{HOME}/corpora", {"name": "A"}, "k")
    assert answer.status_code == 401
    assert b'"name"' not in answer.content


def test_a_key_that_is_too_long_is_refused(program: Program) -> None:
    assert "shorten it" in refusal(send(program, f"{HOME}/corpora", {"name": "A"}, "k" * 201), 422)
