"""The pages and the API of growing personas: who may, what is shown, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoCaptureOnCommitCallbacks

from datasets import pulse
from datasets.models import Corpus, Project, User
from generation.models import PersonaGrowth
from generation.services.growing import growths
from generation.services.work import orders
from tests.api_program import Program, refusal
from tests.generation.growing import claimed, documents, landed, ordered

ClientOf = Callable[[User], Client]
pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def a_worker_listens() -> None:
    pulse.beat(["press", "default"])


@pytest.fixture
def corpus(project: Project) -> Corpus:
    return documents(project, "Gauge", "Mast", "Battery")


@pytest.fixture
def growth(project: Project, corpus: Corpus, owner: User) -> PersonaGrowth:
    return ordered(project, corpus, owner, depth=1)


def at(project: Project, name: str, *more: Any) -> str:
    return reverse(f"generation:persona-{name}", args=[project.slug, *more])


def fields(project: Project, corpus: Corpus, /, **more: Any) -> dict[str, Any]:
    endpoint = project.endpoints.get(preset="offline")
    return {"corpus": corpus.pk, "depth": "0", "endpoint": endpoint.pk, "concurrency": 8} | more


def begun(growth: PersonaGrowth, *, error: str = "") -> None:
    """One step of it as a worker ends it."""
    (branch,) = claimed(growth)
    assert landed(growth, branch, f"<i>{branch.pk}</i>", error=error)
    PersonaGrowth.objects.filter(pk=growth.pk).update(prompt_tokens=1200, completion_tokens=300, cost=Decimal("0.25"))


# -- the form -----------------------------------------------------------------------------------------------------------


def test_the_form_begins_a_growth_and_leads_to_its_page(
    project: Project,
    corpus: Corpus,
    teammate: User,
    client_of: ClientOf,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    chosen = corpus.documents.get(title="Mast")
    with django_capture_on_commit_callbacks() as sent:
        answer = client_of(teammate).post(
            at(project, "grow"), fields(project, corpus, depth="2", documents=[chosen.pk])
        )
    growth = project.persona_growths.get()
    assert answer["Location"] == at(project, "growth", growth.pk)
    assert (growth.documents, growth.depth, growth.created_by) == (1, 2, teammate)
    assert growth.branches.get().document == chosen
    assert len(sent) == 1


def test_the_estimate_says_calls_people_and_money(
    project: Project, corpus: Corpus, owner: User, client_of: ClientOf
) -> None:
    project.endpoints.get(preset="offline").prices.create(model="", prompt=Decimal(1000), completion=Decimal(1000))
    answer = client_of(owner).post(at(project, "estimate"), fields(project, corpus, depth="2"), headers=HTMX)
    page = " ".join(answer.content.decode().split())
    assert "<dt>Model calls</dt><dd>93</dd>" in page
    assert "<dt>Personas</dt><dd>465</dd>" in page
    assert "$" in page
    assert "<html" not in page
    assert not project.persona_growths.exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"depth": "as_needed"}, "Say how many conversations they are for"),
        ({"depth": "9"}, "Select a valid choice"),
        ({"concurrency": 0}, "greater than or equal to 1"),
        ({"titles": "snow"}, "No document matches"),
        ({"documents": [99_999_999]}, "Select a valid choice"),
        ({"corpus": 99_999_999}, "Select a valid choice"),
        ({"endpoint": ""}, "This field is required"),
    ],
)
def test_what_cannot_be_grown_is_refused_beside_its_field(
    project: Project, corpus: Corpus, owner: User, client_of: ClientOf, changes: dict[str, Any], sentence: str
) -> None:
    answer = client_of(owner).post(at(project, "grow"), fields(project, corpus, **changes))
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert not project.persona_growths.exists()


def test_too_deep_a_growth_is_refused_with_the_number_of_its_calls(
    project: Project, owner: User, client_of: ClientOf
) -> None:
    many = documents(project, *map(str, range(40)))
    answer = client_of(owner).post(at(project, "grow"), fields(project, many, depth="4"))
    assert "This would take 31,240 calls" in answer.content.decode()


def test_the_depth_is_reckoned_from_the_conversations(
    project: Project, corpus: Corpus, owner: User, client_of: ClientOf
) -> None:
    client_of(owner).post(at(project, "grow"), fields(project, corpus, depth="as_needed", conversations=90))
    assert project.persona_growths.get().depth == 1


def test_the_documents_to_tick_follow_corpus_and_titles(
    project: Project, corpus: Corpus, owner: User, client_of: ClientOf
) -> None:
    client = client_of(owner)
    listed = client.get(at(project, "grow"), fields(project, corpus, titles="a"), headers=HTMX).content.decode()
    assert "Gauge" in listed
    assert "<html" not in listed
    listed = client.get(at(project, "grow"), fields(project, corpus, titles="mast"), headers=HTMX).content.decode()
    assert "Mast" in listed
    assert "Gauge" not in listed
    document = corpus.documents.get(title="Battery")
    page = client.get(at(project, "grow") + f"?document={document.pk}").content.decode()
    assert f'value="{document.pk}" id="id_documents_0" checked' in " ".join(page.split()) or "checked" in page


def test_without_a_corpus_the_form_says_what_is_missing(project: Project, owner: User, client_of: ClientOf) -> None:
    assert "there is no corpus yet" in client_of(owner).get(at(project, "grow")).content.decode()


# -- the page of a growth -----------------------------------------------------------------------------------------------


def test_the_page_counts_steps_people_tokens_and_money(
    project: Project, growth: PersonaGrowth, owner: User, client_of: ClientOf
) -> None:
    begun(growth)
    begun(growth, error="The server said <b>no</b>.")
    page = client_of(owner).get(at(project, "growth", growth.pk)).content.decode()
    assert "<title>1 done, " in page
    assert "1 failed" in page
    assert "$0.25" in page
    assert "5 to review" in page
    assert "&lt;i&gt;" in page
    assert "said &lt;b&gt;no&lt;/b&gt;." in page
    assert 'hx-trigger="every 2s"' in page
    assert "Made by the offline model" in page


def test_a_poll_brings_the_head_only_when_it_has_changed(
    project: Project, growth: PersonaGrowth, owner: User, client_of: ClientOf
) -> None:
    client, address = client_of(owner), at(project, "growth", growth.pk)
    page = client.get(address).content.decode()
    seen = page.split(f'hx-get="{address}')[1].split('"')[0].replace("&amp;", "&")
    assert 'id="growth-head"' not in client.get(address + seen, headers=HTMX).content.decode()
    growths.cancel_growth(growth=growth, user=owner)
    polled = client.get(address + seen, headers=HTMX).content.decode()
    assert 'id="growth-head" hx-swap-oob="true"' in polled
    assert "every 2s" not in polled


def test_a_growth_is_cancelled_and_another_failed_one_carried_on(
    project: Project, growth: PersonaGrowth, teammate: User, client_of: ClientOf
) -> None:
    client = client_of(teammate)
    begun(growth, error="No.")
    orders.fail(growth, reason="The key was refused.")
    page = client.get(at(project, "growth", growth.pk)).content.decode()
    assert "The key was refused." in page
    assert "Carry on" in page
    assert "Retry 1 failed" in page
    client.post(at(project, "growth-action", growth.pk, "retry"))
    growth.refresh_from_db()
    assert (growth.state, growth.reason) == ("running", "")
    client.post(at(project, "growth-action", growth.pk, "cancel"))
    growth.refresh_from_db()
    assert growth.state == "cancelled"
    page = client.post(at(project, "growth-action", growth.pk, "retry"), follow=True).content.decode()
    assert "What was cancelled stays so" in page


def test_a_growth_that_nobody_works_on_says_how_to_start_a_worker(
    project: Project, growth: PersonaGrowth, owner: User, client_of: ClientOf
) -> None:
    pulse.board().delete("pulse:default")
    assert "No worker has answered" in client_of(owner).get(at(project, "growth", growth.pk)).content.decode()


# -- who may ------------------------------------------------------------------------------------------------------------


def test_members_watch_curators_steer_and_strangers_find_nothing(
    project: Project, corpus: Corpus, growth: PersonaGrowth, annotator: User, stranger: User, client_of: ClientOf
) -> None:
    page = client_of(annotator).get(at(project, "growth", growth.pk)).content.decode()
    assert "Cancel" not in page
    for address in (at(project, "grow"), at(project, "estimate"), at(project, "growth-action", growth.pk, "cancel")):
        assert client_of(annotator).post(address, fields(project, corpus)).status_code == 403
        assert client_of(stranger).post(address, fields(project, corpus)).status_code == 404
    assert client_of(annotator).get(at(project, "grow")).status_code == 403
    assert client_of(stranger).get(at(project, "growth", growth.pk)).status_code == 404
    theirs = stranger.projects.get()
    assert client_of(stranger).get(at(theirs, "growth", growth.pk)).status_code == 404
    assert client_of(stranger).post(at(theirs, "growth-action", growth.pk, "cancel")).status_code == 404
    assert project.persona_growths.count() == 1


def test_documents_and_endpoints_of_another_project_cannot_be_chosen(
    project: Project, corpus: Corpus, stranger: User, client_of: ClientOf
) -> None:
    theirs = stranger.projects.get()
    client = client_of(stranger)
    own = documents(theirs, "Own")
    assert client.post(at(theirs, "grow"), fields(theirs, corpus)).status_code == 422
    ticked = list(corpus.documents.values_list("pk", flat=True))
    assert client.post(at(theirs, "grow"), fields(theirs, own, documents=ticked)).status_code == 422
    foreign = project.endpoints.get(preset="offline").pk
    assert client.post(at(theirs, "grow"), fields(theirs, own, endpoint=foreign)).status_code == 422
    listed = client.get(at(theirs, "grow"), fields(theirs, corpus), headers=HTMX).content.decode()
    assert "Gauge" not in listed
    assert not PersonaGrowth.objects.exists()


# -- the API ------------------------------------------------------------------------------------------------------------


def test_a_program_estimates_begins_watches_and_cancels(project: Project, corpus: Corpus, teammate: User) -> None:
    program, home = Program.of(teammate), f"/projects/{project.slug}/persona-growths"
    body = {"corpus": corpus.pk, "endpoint": project.endpoints.get(preset="offline").pk, "conversations": 90}
    assert program.post(f"{home}/estimate", body)["calls"] == 18
    made = program.post(home, body)
    assert (made["state"], made["documents"], made["depth"], made["progress"]["waiting"]) == ("running", 3, 1, 18)
    assert [row["id"] for row in program.get(home)["items"]] == [made["id"]]
    assert program.post(f"{home}/{made['id']}/cancel")["state"] == "cancelled"
    assert "stays so" in refusal(program.call("POST", f"{home}/{made['id']}/retry"), 422)


def test_a_program_decides_on_what_was_proposed(project: Project, growth: PersonaGrowth, teammate: User) -> None:
    begun(growth)
    program, home = Program.of(teammate), f"/projects/{project.slug}/personas"
    assert program.get(home)["items"] == []
    first, second, *_ = program.get(home, proposed=True)["items"]
    assert (first["depth"], first["parent"], first["current"]["model"]) == (0, None, "offline")
    assert not program.post(f"{home}/{first['id']}/decision", {"decision": "accepted"})["proposed"]
    assert program.post(f"{home}/{second['id']}/decision", {"decision": "rejected"})["archived"]
    assert program.post(f"{home}/accept", {"document": first["document"]})["accepted"] == 3
    assert len(program.get(home)["items"]) == 4
    program.delete(f"{home}/{first['id']}")
    assert refusal(program.call("POST", f"{home}/{second['id']}/decision", {"decision": "perhaps"}), 422)


def test_what_a_program_orders_in_vain_is_refused_in_a_sentence(
    project: Project, corpus: Corpus, teammate: User, stranger: User
) -> None:
    program, home = Program.of(teammate), f"/projects/{project.slug}/persona-growths"
    endpoint = project.endpoints.get(preset="offline").pk
    body = {"corpus": corpus.pk, "endpoint": endpoint, "depth": 0}
    assert "No document matches" in refusal(program.call("POST", home, body | {"titles": "snow"}), 422)
    assert refusal(program.call("POST", home, body | {"depth": 5}), 422)
    assert refusal(program.call("POST", home, body | {"corpus": 99_999_999}), 422)
    foreign = stranger.projects.get().endpoints.get(preset="offline").pk
    assert refusal(program.call("POST", home, body | {"endpoint": foreign}), 422)
    others = documents(stranger.projects.get(), "Secret").documents.get().pk
    assert "No document matches" in refusal(program.call("POST", home, body | {"documents": [others]}), 422)
