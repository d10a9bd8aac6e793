"""Endpoints: set up from what is known of a kind of server, with a key that goes in and never comes out."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from datasets.models import Activity, Project, User
from generation.models import Endpoint, EndpointKey, Trial
from generation.services import trials
from generation.services.servers.endpoints import save_endpoint, save_prices
from tests.fixtures_model_server import RunningModelServer
from tests.generation.runs import launched

ClientOf = Callable[[User], Client]
KEY = "sk-live-4242424242-secret-tail"
PRICES = {"price-TOTAL_FORMS": "3", "price-INITIAL_FORMS": "0"}


def values(**changes: str) -> dict[str, str]:
    fields = {"name": "Ours", "base_url": "http://127.0.0.1:9/v1", "chat_model": "big", "timeout": "60", "key": KEY}
    return fields | PRICES | changes


def new(project: Project, preset: str = "custom") -> str:
    return f"{reverse('generation:endpoint-new', args=[project.slug])}?preset={preset}"


def at(project: Project, endpoint: Endpoint, name: str = "endpoint-detail") -> str:
    return reverse(f"generation:{name}", args=[project.slug, endpoint.pk])


@pytest.fixture
def endpoint(project: Project, owner: User) -> Endpoint:
    fields = {"name": "Ours", "preset": "custom", "base_url": "http://127.0.0.1:9/v1", "chat_model": "big"}
    return save_endpoint(project=project, user=owner, values=fields, key=KEY)


def errors(answer: object, field: str) -> list[str]:
    return answer.context["form"].errors.get(field, [])  # type: ignore[attr-defined]


# -- who may do what --------------------------------------------------------------------------------------------------


def test_members_see_which_endpoints_there_are_and_only_owners_change_them(
    project: Project, endpoint: Endpoint, owner: User, teammate: User, stranger: User, client_of: ClientOf
) -> None:
    listed = reverse("generation:endpoint-list", args=[project.slug])
    assert b"Ours" in client_of(teammate).get(listed).content
    assert client_of(stranger).get(listed).status_code == 404
    for address in (new(project), at(project, endpoint)):
        assert client_of(owner).get(address).status_code == 200
        assert client_of(teammate).get(address).status_code == 403
        assert client_of(teammate).post(address, values()).status_code == 403
        assert client_of(stranger).get(address).status_code == 404
    for action in ("endpoint-test", "endpoint-forget-key", "endpoint-delete"):
        assert client_of(teammate).post(at(project, endpoint, action)).status_code == 403
        assert client_of(stranger).post(at(project, endpoint, action)).status_code == 404
        assert client_of(owner).get(at(project, endpoint, action)).status_code == 405
    assert Endpoint.objects.filter(pk=endpoint.pk, keys__isnull=False).exists()


def test_an_endpoint_of_another_project_is_not_found_in_mine(
    project: Project, endpoint: Endpoint, stranger: User, client_of: ClientOf
) -> None:
    theirs = stranger.projects.get()
    assert client_of(stranger).get(at(theirs, endpoint)).status_code == 404
    assert client_of(stranger).post(at(theirs, endpoint, "endpoint-delete")).status_code == 404


# -- keys -------------------------------------------------------------------------------------------------------------


def test_a_key_is_encrypted_at_rest_and_in_no_answer(project: Project, owner: User, client_of: ClientOf) -> None:
    client = client_of(owner)
    answer = client.post(new(project), values(), follow=True)
    row = EndpointKey.objects.get(endpoint__project=project)
    assert KEY.encode() not in bytes(row.ciphertext)
    assert row.reveal() == KEY
    assert row.hint == "tail"

    listed = client.get(reverse("generation:endpoint-list", args=[project.slug]))
    refused = client.post(at(project, row.endpoint), values(name="", key="sk-typed-just-now-0000"))
    for page in (answer, listed, client.get(at(project, row.endpoint)), refused):
        assert KEY.encode() not in page.content
        assert b"sk-typed-just-now-0000" not in page.content
    assert KEY not in " ".join(Activity.objects.values_list("text", flat=True))


def test_an_empty_key_keeps_the_stored_one_and_a_new_one_replaces_it(
    project: Project, endpoint: Endpoint, owner: User, client_of: ClientOf
) -> None:
    client = client_of(owner)
    client.post(at(project, endpoint), values(key="", chat_model="bigger"))
    endpoint.refresh_from_db()
    assert (endpoint.chat_model, endpoint.keys.get().reveal()) == ("bigger", KEY)
    client.post(at(project, endpoint), values(key="sk-another-0123456789"))
    assert endpoint.keys.get().reveal() == "sk-another-0123456789"


def test_a_changed_address_needs_the_key_again(
    project: Project, endpoint: Endpoint, owner: User, client_of: ClientOf
) -> None:
    client = client_of(owner)
    moved = "http://127.0.0.1:10/v1"
    answer = client.post(at(project, endpoint), values(base_url=moved, key=""))
    assert answer.status_code == 422
    assert "enter the key again" in errors(answer, "key")[0]
    endpoint.refresh_from_db()
    assert endpoint.base_url == "http://127.0.0.1:9/v1"
    assert client.post(at(project, endpoint), values(base_url=moved)).status_code == 302
    endpoint.refresh_from_db()
    assert endpoint.base_url == moved


def test_a_stored_key_can_be_removed(project: Project, endpoint: Endpoint, owner: User, client_of: ClientOf) -> None:
    assert client_of(owner).post(at(project, endpoint, "endpoint-forget-key")).status_code == 302
    assert not endpoint.keys.exists()


@pytest.mark.parametrize(("preset", "needed"), [("openai", True), ("ollama", False), ("custom", False)])
def test_a_key_is_asked_for_where_the_server_needs_one(
    project: Project, owner: User, client_of: ClientOf, preset: str, needed: bool
) -> None:
    answer = client_of(owner).post(new(project, preset), values(key=""))
    assert answer.status_code == (422 if needed else 302)
    if needed:
        assert errors(answer, "key")


def test_a_key_with_characters_that_no_key_has_is_refused(project: Project, owner: User, client_of: ClientOf) -> None:
    answer = client_of(owner).post(new(project), values(key="sk-“quoted”"))
    assert "copy it again" in errors(answer, "key")[0]


# -- settings ---------------------------------------------------------------------------------------------------------


def test_a_kind_of_server_fills_in_what_is_known_of_it(project: Project, owner: User, client_of: ClientOf) -> None:
    client = client_of(owner)
    kinds = client.get(reverse("generation:endpoint-new", args=[project.slug])).content.decode()
    assert "OpenRouter" in kinds
    assert "llama.cpp" in kinds
    assert "Offline model" not in kinds
    form = client.get(new(project, "mistral")).content.decode()
    assert 'value="https://api.mistral.ai/v1"' in form
    assert 'value="mistral-small-latest"' in form
    assert '<option value="mistral-embed">' in form


@pytest.mark.parametrize(
    "address", ["https://api.example.org/v1", "http://ollama:11434/v1", "http://10.0.0.7:8000/v1", "http://[::1]:8/v1"]
)
def test_addresses_of_any_web_server_are_taken(
    project: Project, owner: User, client_of: ClientOf, address: str
) -> None:
    assert client_of(owner).post(new(project), values(base_url=address)).status_code == 302
    assert project.endpoints.get(name="Ours").base_url == address


@pytest.mark.parametrize(
    "address",
    [
        "", "localhost:8000/v1", "ftp://example.org/v1", "file:///etc/passwd", "http://", "http://a b/v1",
        "http://me:secret@example.org/v1", "http://169.254.169.254/latest", "http://2852039166/", "http://[fe80::1]/v1",
        "http://[::ffff:169.254.169.254]/",
    ],
)  # fmt: skip
def test_other_addresses_are_refused_beside_the_field(
    project: Project, owner: User, client_of: ClientOf, address: str
) -> None:
    answer = client_of(owner).post(new(project), values(base_url=address))
    assert answer.status_code == 422
    assert len(errors(answer, "base_url")) == 1
    assert not project.endpoints.filter(name="Ours").exists()


def test_two_endpoints_cannot_have_one_name(
    project: Project, endpoint: Endpoint, owner: User, client_of: ClientOf
) -> None:
    answer = client_of(owner).post(new(project), values())
    assert "Another endpoint has that name" in errors(answer, "name")[0]
    assert project.endpoints.filter(name="Ours").count() == 1


def test_an_endpoint_without_any_model_is_refused(project: Project, owner: User, client_of: ClientOf) -> None:
    answer = client_of(owner).post(new(project), values(chat_model="", embedding_model=""))
    assert "chat model" in errors(answer, "chat_model")[0]


def test_prices_are_kept_changed_and_removed(
    project: Project, endpoint: Endpoint, owner: User, client_of: ClientOf
) -> None:
    client = client_of(owner)
    lines = {"price-0-model": "big", "price-0-prompt": "2.5", "price-0-completion": "10", "price-1-prompt": "1"}
    client.post(at(project, endpoint), values(**lines))
    assert endpoint.price_of("big") == (Decimal("2.5"), Decimal(10))
    assert endpoint.price_of("another") == (Decimal(1), Decimal(0))

    kept = {"price-TOTAL_FORMS": "5", "price-INITIAL_FORMS": "2"}
    lines = {"price-0-model": "", "price-1-model": "big", "price-1-prompt": "3", "price-1-completion": ""}
    client.post(at(project, endpoint), values(**kept, **lines))
    assert endpoint.price_of("big") == (Decimal(3), Decimal(0))
    assert endpoint.price_of("another") == (Decimal(0), Decimal(0))


@pytest.mark.parametrize(
    "lines",
    [
        {"price-0-model": "big", "price-0-prompt": "-1"},
        {"price-0-model": "big"},
        {"price-0-model": "big", "price-0-prompt": "1", "price-1-model": "big", "price-1-prompt": "2"},
    ],
)
def test_prices_that_cannot_be_meant_are_refused_and_nothing_is_changed(
    project: Project, endpoint: Endpoint, owner: User, client_of: ClientOf, lines: dict[str, str]
) -> None:
    save_prices(endpoint=endpoint, prices={"old": (Decimal(1), Decimal(1))})
    answer = client_of(owner).post(at(project, endpoint), values(chat_model="changed", **lines))
    assert answer.status_code == 422
    assert any(form.errors for form in answer.context["prices"])
    endpoint.refresh_from_db()
    assert endpoint.chat_model == "big"
    assert [price.model for price in endpoint.prices.all()] == ["old"]


# -- deleting ---------------------------------------------------------------------------------------------------------


def test_an_endpoint_is_not_deleted_while_a_run_speaks_through_it(
    project: Project, endpoint: Endpoint, owner: User, client_of: ClientOf
) -> None:
    run = launched(project, endpoint=endpoint)
    client = client_of(owner)
    answer = client.post(at(project, endpoint, "endpoint-delete"), follow=True)
    assert b"cancel it or wait" in answer.content
    type(run).objects.filter(pk=run.pk).update(state="done")
    client.post(at(project, endpoint, "endpoint-delete"))
    assert not Endpoint.objects.filter(pk=endpoint.pk).exists()
    assert type(run).objects.filter(pk=run.pk).exists()


def test_the_offline_model_stays_and_has_no_settings(project: Project, owner: User, client_of: ClientOf) -> None:
    offline = project.endpoints.get(preset="offline")
    client = client_of(owner)
    assert b"Made by the offline model" in client.get(at(project, offline)).content
    assert client.post(at(project, offline), values()).status_code == 404
    client.post(at(project, offline, "endpoint-delete"))
    assert Endpoint.objects.filter(pk=offline.pk, name="Offline model").exists()


# -- the test button --------------------------------------------------------------------------------------------------


def tried(client: Client, project: Project, endpoint: Endpoint) -> str:
    """Press the button, let a worker do it, and look at the page."""
    answer = client.post(at(project, endpoint, "endpoint-test"))
    trial = Trial.objects.latest("pk")
    assert answer["Location"] == reverse("generation:trial-detail", args=[project.slug, trial.pk])
    trials.carry_out(trial_id=trial.pk)
    return client.get(answer["Location"]).content.decode()


@pytest.mark.django_db(transaction=True)
def test_the_test_button_shows_reply_tokens_and_latency(
    project: Project, endpoint: Endpoint, owner: User, client_of: ClientOf, model_server: RunningModelServer
) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(base_url=model_server.base_url, embedding_model="vectors")
    page = tried(client_of(owner), project, endpoint)
    reply = Trial.objects.latest("pk").result["chat"]
    assert "It answers." in page
    assert reply["reply"][:40] in page
    assert f"<dd>{reply['prompt_tokens']} tokens</dd>" in page
    assert f"<dd>{reply['completion_tokens']} tokens</dd>" in page
    assert f"<dd>{reply['latency_ms']} ms</dd>" in page
    assert "64 numbers a vector" in page


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 401, "message": "Key <b>sk</b> revoked."}, "Key &lt;b&gt;sk&lt;/b&gt; revoked."),
        ({"status": 404, "message": "No model big here."}, "No model big here."),
    ],
)
def test_the_test_button_shows_the_servers_own_words(
    project: Project, endpoint: Endpoint, owner: User, client_of: ClientOf, model_server: RunningModelServer,
    fault: dict[str, object], words: str,
) -> None:  # fmt: skip
    Endpoint.objects.filter(pk=endpoint.pk).update(base_url=model_server.base_url)
    model_server.fail("status", **fault)
    assert words in tried(client_of(owner), project, endpoint)


@pytest.mark.django_db(transaction=True)
def test_the_test_button_says_that_nothing_answers(
    project: Project, endpoint: Endpoint, owner: User, client_of: ClientOf
) -> None:
    page = tried(client_of(owner), project, endpoint)
    assert "Nothing answers at http://127.0.0.1:9/v1" in page


@pytest.mark.django_db(transaction=True)
def test_save_and_test_does_both(
    project: Project, owner: User, client_of: ClientOf, model_server: RunningModelServer
) -> None:
    answer = client_of(owner).post(new(project), values(base_url=model_server.base_url, test="1"))
    trial = Trial.objects.get()
    assert answer["Location"] == reverse("generation:trial-detail", args=[project.slug, trial.pk])
    assert trial.request == {"endpoint": project.endpoints.get(name="Ours").pk}
