"""Previews and drafts: small pieces of model work that somebody waits for on a page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from datasets import pulse
from datasets.models import Corpus, Project, Prompt, PromptRole, User
from datasets.services.prompts import save_prompt
from generation.models import Endpoint, Trial
from generation.services import trials
from generation.services.recipes import save_recipe
from generation.services.running.runs import start_run
from generation.services.servers.endpoints import save_endpoint
from tests.datasets.ingesting import add, read
from tests.factories import make_corpus, make_project
from tests.fixtures_model_server import RunningModelServer
from tests.generation.runs import expert, recipe

ClientOf = Callable[[User], Client]
# Trials look their rows up in a thread of their own, which sees only what is committed.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(project: Project, owner: User, model_server: RunningModelServer) -> Endpoint:
    fields = {"name": "Server", "preset": "custom", "base_url": model_server.base_url, "chat_model": "big"}
    return save_endpoint(project=project, user=owner, values=fields)


@pytest.fixture
def corpus(project: Project) -> Corpus:
    corpus = make_corpus(project)
    read(add(corpus, "pump.txt", "The pump <script>alert('passage')</script> is serviced every seven weeks.\n\n" * 3))
    return corpus


def preview(project: Project, user: User, endpoint: Endpoint, **changes: Any) -> Trial:
    spec = recipe(project, endpoint, **changes).model_dump(mode="json")
    return trials.ask_for(project=project, kind=Trial.Kind.PREVIEW, request={"recipe": spec}, user=user)


def at(trial: Trial) -> str:
    return reverse("generation:trial-detail", args=[trial.project.slug, trial.pk])


def shown(client: Client, trial: Trial) -> str:
    answer = client.get(at(trial))
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_preview_shows_the_conversation_and_every_prompt_that_was_sent(
    project: Project, server: Endpoint, corpus: Corpus, owner: User, client_of: ClientOf, model_server: Any
) -> None:
    judge = {"endpoint": server.pk}
    models = recipe(project, server).model_dump()["models"] | {"judge": judge}
    grounded = {"corpus": corpus.pk, "retrieval": {"when": "answer"}}
    trial = preview(project, owner, server, **grounded, max_turns=3, judge=True, models=models)
    trials.carry_out(trial_id=trial.pk)

    trial.refresh_from_db()
    assert (trial.state, trial.error) == ("done", "")
    requests = [request["body"] for request in model_server.requests()]
    assert len(requests) == 1 + 3 + 2 + 1  # a first question, three answers, two more questions, a judgement
    page = shown(client_of(owner), trial)
    sent = {turn["content"] for body in requests for turn in body["messages"]}
    escaped = (
        page.replace("&#x27;", "'")
        .replace("&quot;", '"')
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
    )
    assert all(text in escaped for text in sent)
    assert "every seven weeks" in page
    assert "<script>alert" not in page
    assert "7 calls, with every prompt" in page
    assert "every 1s" not in page


def test_a_preview_by_the_offline_model_says_so(
    project: Project, corpus: Corpus, owner: User, client_of: ClientOf
) -> None:
    offline = project.endpoints.get(preset="offline")
    trial = preview(project, owner, offline, corpus=corpus.pk, retrieval={"when": "answer"})
    trials.carry_out(trial_id=trial.pk)
    assert "Made by the offline model." in shown(client_of(owner), trial)


def test_a_preview_that_fails_shows_the_servers_words(
    project: Project, server: Endpoint, owner: User, client_of: ClientOf, model_server: RunningModelServer
) -> None:
    model_server.fail("status", status=401, message="<i>Nobody</i> you know.")
    trial = preview(project, owner, server)
    trials.carry_out(trial_id=trial.pk)
    page = shown(client_of(owner), trial)
    assert "&lt;i&gt;Nobody&lt;/i&gt; you know." in page
    assert 'role="alert"' in page


def test_a_preview_of_a_corpus_without_passages_says_what_to_do(
    project: Project, server: Endpoint, owner: User, client_of: ClientOf, model_server: RunningModelServer
) -> None:
    trial = preview(project, owner, server, corpus=make_corpus(project).pk, retrieval={"when": "answer"})
    trials.carry_out(trial_id=trial.pk)
    assert "add documents" in shown(client_of(owner), trial)
    assert model_server.stats()["total"] == 0


def test_hostile_replies_are_shown_as_text(
    project: Project, server: Endpoint, owner: User, client_of: ClientOf
) -> None:
    trial = preview(project, owner, server)
    trials.carry_out(trial_id=trial.pk)
    trial.refresh_from_db()
    for message in trial.result["attempts"][0]["dialog"]["messages"]:
        message["content"] = "<script>alert(1)</script>[click](javascript:alert(2))<img src=x onerror=alert(3)>"
    trial.result["attempts"][0]["dialog"]["trace"]["texts"] = [
        f"<script>alert({n})</script>" for n in range(len(trial.result["attempts"][0]["dialog"]["trace"]["texts"]))
    ]
    trial.save()
    page = shown(client_of(owner), trial)
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert 'href="javascript' not in page


def test_a_waiting_page_polls_and_says_when_nobody_works(
    project: Project, server: Endpoint, owner: User, client_of: ClientOf
) -> None:
    trial = preview(project, owner, server)
    client = client_of(owner)
    pulse.beat(["default"])
    page = shown(client, trial)
    assert "every 1s" in page
    assert "Waiting for a worker that is free." in page
    pulse.board().delete("pulse:default")
    assert "python manage.py up" in shown(client, trial)


def test_a_trial_is_carried_out_once(
    project: Project, server: Endpoint, owner: User, model_server: RunningModelServer
) -> None:
    trial = preview(project, owner, server, max_turns=1)
    trials.carry_out(trial_id=trial.pk)
    asked = model_server.stats()["total"]
    trials.carry_out(trial_id=trial.pk)
    assert model_server.stats()["total"] == asked == 2


@pytest.mark.parametrize(
    ("state", "age", "ends"),
    [("waiting", 4, True), ("waiting", 1, False), ("running", 4, False), ("running", 20, True), ("done", 60, False)],
)
def test_a_forgotten_trial_fails_and_one_that_is_worked_on_has_its_time(
    project: Project, server: Endpoint, owner: User, state: str, age: int, ends: bool
) -> None:
    trial = preview(project, owner, server)
    then = timezone.now() - timedelta(minutes=age)
    Trial.objects.filter(pk=trial.pk).update(state=state, created=then, started=then)
    trials.fail_forgotten_trials()
    trial.refresh_from_db()
    assert trial.state == ("failed" if ends else state)
    assert bool(trial.error) == ends


def test_what_has_been_deleted_meanwhile_is_named(project: Project, server: Endpoint, owner: User) -> None:
    prompt = expert(project)
    for request, gone in (
        ({"endpoint": 0, "prompt": prompt.pk}, "endpoint"),
        ({"endpoint": server.pk, "prompt": 0}, "prompt"),
    ):
        trial = trials.ask_for(project=project, kind=Trial.Kind.CORRESPONDENT, request=request, user=owner)
        trials.carry_out(trial_id=trial.pk)
        trial.refresh_from_db()
        assert trial.error == f"That {gone} has been deleted: choose another."


def test_only_curators_of_the_project_see_a_trial(
    project: Project, server: Endpoint, teammate: User, annotator: User, stranger: User, client_of: ClientOf
) -> None:
    trial = preview(project, teammate, server)
    assert client_of(teammate).get(at(trial)).status_code == 200
    assert client_of(annotator).get(at(trial)).status_code == 403
    assert client_of(stranger).get(at(trial)).status_code == 404
    elsewhere = reverse("generation:trial-detail", args=[stranger.projects.get().slug, trial.pk])
    assert client_of(stranger).get(elsewhere).status_code == 404


# -- drafts of correspondent prompts ----------------------------------------------------------------------------------


@pytest.fixture
def prompt(project: Project) -> Prompt:
    text = "You repair {pumps} <b>by telephone</b>."
    return save_prompt(project=project, name="Repairer", role=PromptRole.RESPONDENT, text=text, author=None)


def draft(project: Project, prompt: Prompt) -> str:
    return reverse("generation:prompt-draft", args=[project.slug, prompt.pk])


def test_a_correspondent_prompt_is_drafted_with_one_call_and_saved_by_hand(
    project: Project, server: Endpoint, prompt: Prompt, teammate: User, client_of: ClientOf, model_server: Any
) -> None:
    client = client_of(teammate)
    answer = client.post(draft(project, prompt), {"endpoint": server.pk})
    trial = Trial.objects.get()
    assert answer["Location"] == at(trial)
    trials.carry_out(trial_id=trial.pk)

    assert model_server.stats()["total"] == 1
    (request,) = model_server.requests()
    assert "You repair {pumps} <b>by telephone</b>." in str(request["body"]["messages"])
    trial.refresh_from_db()
    page = shown(client, trial)
    assert trial.result["text"][:30] in page
    assert not project.prompts.filter(role="correspondent", name="Caller").exists()
    saved = {"name": "Caller", "role": "correspondent", "text": trial.result["text"]}
    assert client.post(reverse("datasets:prompt-new", args=[project.slug]), saved).status_code == 302
    assert project.prompts.get(name="Caller").current.text == trial.result["text"].strip()


@pytest.mark.parametrize("endpoint", ["", "abc", "0", "foreign"])
def test_a_draft_needs_an_endpoint_of_the_project(
    project: Project, prompt: Prompt, teammate: User, client_of: ClientOf, endpoint: str
) -> None:
    chosen = make_project().endpoints.get().pk if endpoint == "foreign" else endpoint
    answer = client_of(teammate).post(draft(project, prompt), {"endpoint": chosen}, follow=True)
    assert "Choose an endpoint" in answer.content.decode()
    assert not Trial.objects.exists()


def test_only_a_respondent_prompt_has_another_side(
    project: Project, server: Endpoint, prompt: Prompt, teammate: User, annotator: User, client_of: ClientOf
) -> None:
    asker = expert(project, "Asker", PromptRole.CORRESPONDENT)
    assert client_of(teammate).post(draft(project, asker), {"endpoint": server.pk}).status_code == 404
    assert client_of(annotator).post(draft(project, prompt), {"endpoint": server.pk}).status_code == 403


# -- uses of a prompt -------------------------------------------------------------------------------------------------


def uses(client: Client, project: Project, prompt: Prompt, **headers: str) -> str:
    answer = client.get(reverse("generation:prompt-uses", args=[project.slug, prompt.pk]), headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_prompt_shows_the_runs_and_recipes_that_use_it(
    project: Project, prompt: Prompt, server: Endpoint, teammate: User, client_of: ClientOf
) -> None:
    client = client_of(teammate)
    assert "No run or recipe yet." in uses(client, project, prompt)
    spec = recipe(project, server, respondent_prompt=prompt.pk)
    run = start_run(project=project, spec=spec, user=teammate, name="<i>Uses it</i>")
    save_recipe(project=project, name="Names it", spec=spec, author=teammate)
    start_run(
        project=project,
        spec=recipe(project, server, respondent_prompt=expert(project, "Other").pk),
        user=teammate,
        name="Does not",
    )

    page = uses(client, project, prompt, **{"HX-Request": "true"})
    assert "<html" not in page
    assert "&lt;i&gt;Uses it&lt;/i&gt;" in page
    assert "Names it" in page
    assert "Does not" not in page
    assert f"/runs/{run.pk}/" in page
    assert "<html" in uses(client, project, prompt)


def test_uses_are_for_members_only(
    project: Project, prompt: Prompt, annotator: User, stranger: User, client_of: ClientOf
) -> None:
    assert "The other side" not in uses(client_of(annotator), project, prompt)
    address = reverse("generation:prompt-uses", args=[project.slug, prompt.pk])
    assert client_of(stranger).get(address).status_code == 404
