"""The keys of an endpoint on its page: added, limited, switched and removed by owners, and shown to nobody."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from datasets import pulse
from datasets.models import Activity, Project, User
from generation.adapters import keyring
from generation.models import Endpoint, EndpointKey
from generation.services.servers.endpoints import save_endpoint
from generation.services.work import pullers
from tests.api_program import Program, refusal
from tests.generation.runs import launched

ClientOf = Callable[[User], Client]
FIRST, SECOND = "sk-first-0123456789-aaaa", "sk-second-0123456789-bbbb"
SETTINGS = {
    "name": "Ours", "base_url": "http://127.0.0.1:9/v1", "chat_model": "big", "timeout": "60",
    "price-TOTAL_FORMS": "0", "price-INITIAL_FORMS": "0",
}  # fmt: skip


@pytest.fixture
def endpoint(project: Project, owner: User) -> Endpoint:
    fields = {"name": "Ours", "preset": "custom", "base_url": "http://127.0.0.1:9/v1", "chat_model": "big"}
    return save_endpoint(project=project, user=owner, values=fields, key=FIRST)


@pytest.fixture
def first(endpoint: Endpoint) -> EndpointKey:
    key = endpoint.keys.get()
    pulse.board().delete(keyring.hash_name(key.pk))
    return key


def at(project: Project, endpoint: Endpoint, name: str = "detail", *more: int) -> str:
    return reverse(f"generation:endpoint-{name}", args=[project.slug, endpoint.pk, *more])


def add(client: Client, endpoint: Endpoint, secret: str = SECOND, **values: object):
    return client.post(at(endpoint.project, endpoint, "key-add"), {"key": secret, **values})


def use(key: EndpointKey, **known: int) -> None:
    """As workers leave it in Redis."""
    pulse.board().hset(keyring.hash_name(key.pk), mapping=known)


def shown(client: Client, endpoint: Endpoint) -> str:
    return client.get(at(endpoint.project, endpoint)).content.decode()


# -- who may do what ----------------------------------------------------------------------------------------------------


def test_only_owners_touch_keys(
    project: Project, first: EndpointKey, teammate: User, stranger: User, owner: User, client_of: ClientOf
) -> None:
    endpoint = first.endpoint
    actions = [("key-add",), ("key-save", first.pk), ("key-switch", first.pk), ("key-remove", first.pk)]
    for name, *more in actions:
        address = at(project, endpoint, name, *more)
        body = {"key": SECOND, "name": "Theirs"}
        assert client_of(teammate).post(address, body).status_code == 403
        assert client_of(stranger).post(address, body).status_code == 404
        assert client_of(owner).get(address).status_code == 405
        theirs = reverse(f"generation:endpoint-{name}", args=[stranger.projects.get().slug, endpoint.pk, *more])
        assert client_of(stranger).post(theirs, body).status_code == 404
    assert [(key.name, key.active) for key in endpoint.keys.all()] == [("", True)]


def test_a_key_is_not_reached_through_another_endpoint(
    project: Project, first: EndpointKey, owner: User, client_of: ClientOf
) -> None:
    other = project.endpoints.create(name="Other", preset="custom", base_url="http://127.0.0.1:8/v1")
    assert client_of(owner).post(at(project, other, "key-remove", first.pk)).status_code == 404
    assert EndpointKey.objects.filter(pk=first.pk).exists()


def test_the_offline_model_takes_no_key(project: Project, owner: User, client_of: ClientOf) -> None:
    offline = project.endpoints.get(preset="offline")
    assert add(client_of(owner), offline).status_code == 404
    assert "Add a key" not in shown(client_of(owner), offline)


# -- adding -------------------------------------------------------------------------------------------------------------


def test_another_key_is_added_encrypted_with_its_limits_and_in_no_answer(
    project: Project, first: EndpointKey, owner: User, client_of: ClientOf
) -> None:
    client, endpoint = client_of(owner), first.endpoint
    answer = add(client, endpoint, f" {SECOND} ", name="Night shift", hourly_limit="100", daily_limit="")
    assert answer.status_code == 302
    assert answer["Location"].endswith(f"/endpoints/{endpoint.pk}/#keys")
    row = endpoint.keys.get(name="Night shift")
    assert (row.reveal(), row.hint, row.hourly_limit, row.daily_limit) == (SECOND, "bbbb", 100, None)
    assert SECOND.encode() not in bytes(row.ciphertext)

    refused = add(client, endpoint, "sk-third-0123456789-cccc", hourly_limit="-1")
    listed = client.get(reverse("generation:endpoint-list", args=[project.slug]))
    for page in (shown(client, endpoint), refused.content.decode(), listed.content.decode()):
        assert not any(secret in page for secret in (FIRST, SECOND, "sk-third"))
    assert "…bbbb" in shown(client, endpoint)
    assert SECOND not in " ".join(Activity.objects.values_list("text", flat=True))
    assert Activity.objects.filter(text="added a key to “Ours”").exists()


@pytest.mark.parametrize(
    ("values", "field", "says"),
    [
        ({"key": ""}, "key", "required"),
        ({"key": "sk-“quoted”"}, "key", "copy it again"),
        ({"key": f"{FIRST} "}, "key", "stored already"),
        ({"hourly_limit": "0"}, "hourly_limit", "greater than or equal to 1"),
        ({"daily_limit": "many"}, "daily_limit", "whole number"),
        ({"daily_limit": str(2**40)}, "daily_limit", "less than or equal"),
    ],
)
def test_what_is_wrong_with_a_new_key_is_said_beside_the_field(
    first: EndpointKey, owner: User, client_of: ClientOf, values: dict[str, str], field: str, says: str
) -> None:
    answer = client_of(owner).post(at(first.endpoint.project, first.endpoint, "key-add"), {"key": SECOND} | values)
    assert answer.status_code == 422
    assert says in answer.context["key_form"].errors[field][0]
    assert "Save and test" in answer.content.decode()
    assert first.endpoint.keys.count() == 1


def test_an_endpoint_takes_only_so_many_keys(first: EndpointKey, owner: User, client_of: ClientOf) -> None:
    for number in range(49):
        EndpointKey.seal(first.endpoint, f"sk-{number}").save()
    assert "50 keys at most" in add(client_of(owner), first.endpoint).context["key_form"].errors["key"][0]


# -- changing -----------------------------------------------------------------------------------------------------------


def test_limits_are_set_and_emptied(first: EndpointKey, owner: User, client_of: ClientOf) -> None:
    client, address = client_of(owner), at(first.endpoint.project, first.endpoint, "key-save", first.pk)
    assert client.post(address, {"name": "Mine", "hourly_limit": "5", "daily_limit": "50"}).status_code == 302
    first.refresh_from_db()
    assert (first.name, first.hourly_limit, first.daily_limit, first.reveal()) == ("Mine", 5, 50, FIRST)
    assert 'value="50"' in shown(client, first.endpoint)
    client.post(address, {"name": "", "hourly_limit": "", "daily_limit": ""})
    first.refresh_from_db()
    assert (first.name, first.hourly_limit, first.daily_limit) == ("", None, None)

    wrong = client.post(address, {"hourly_limit": "0"})
    assert wrong.status_code == 422
    assert "Calls an hour: Ensure this value is greater than or equal to 1." in wrong.content.decode()


def test_a_key_is_switched_off_and_on_again(first: EndpointKey, owner: User, client_of: ClientOf) -> None:
    client, address = client_of(owner), at(first.endpoint.project, first.endpoint, "key-switch", first.pk)
    client.post(address, {"on": ""})
    assert not EndpointKey.objects.get(pk=first.pk).active
    assert 'title="Switch on"' in shown(client, first.endpoint)
    client.post(address, {"on": "1"})
    assert EndpointKey.objects.get(pk=first.pk).active


def test_a_key_that_is_switched_on_is_tried_at_once_whatever_was_held_against_it(
    first: EndpointKey, owner: User, client_of: ClientOf, django_capture_on_commit_callbacks: Callable
) -> None:
    EndpointKey.objects.update(refused="2026-01-01T00:00:00Z", refusal="No such key.")
    future = int(time.time() + 600) * 1000
    use(first, rests=future, refused=future, errors=3, hour_calls=7)
    assert "No such key." in shown(client_of(owner), first.endpoint)
    with django_capture_on_commit_callbacks(execute=True):
        client_of(owner).post(at(first.endpoint.project, first.endpoint, "key-switch", first.pk), {"on": "1"})
    first.refresh_from_db()
    assert (first.refused, first.refusal) == (None, "")
    assert pulse.board().hgetall(keyring.hash_name(first.pk)) == {b"hour_calls": b"7"}


def test_a_removed_key_leaves_nothing_behind_and_the_others_stay(
    first: EndpointKey, owner: User, client_of: ClientOf, django_capture_on_commit_callbacks: Callable
) -> None:
    client, endpoint = client_of(owner), first.endpoint
    add(client, endpoint)
    use(first, hour_calls=7)
    with django_capture_on_commit_callbacks(execute=True):
        client.post(at(endpoint.project, endpoint, "key-remove", first.pk))
    assert [key.reveal() for key in endpoint.keys.all()] == [SECOND]
    assert not pulse.board().exists(keyring.hash_name(first.pk))


@pytest.mark.parametrize("action", ["key-add", "key-save", "key-switch", "key-remove", "forget-key"])
def test_workers_are_told_of_every_change(
    first: EndpointKey, owner: User, client_of: ClientOf, django_capture_on_commit_callbacks: Callable, action: str
) -> None:
    name, more = keyring.revision_name(first.endpoint_id), [first.pk] if action.startswith("key-") else []
    before = pulse.board().get(name)
    address = at(first.endpoint.project, first.endpoint, action, *([] if action == "key-add" else more))
    with django_capture_on_commit_callbacks(execute=True):
        assert client_of(owner).post(address, {"key": SECOND, "on": "1"}).status_code == 302
    assert pulse.board().get(name) not in (None, before)


@pytest.mark.parametrize("action", ["key-add", "key-save"])
def test_a_run_that_rests_until_its_keys_may_make_calls_again_goes_on_when_they_are_changed(
    first: EndpointKey, owner: User, client_of: ClientOf, django_capture_on_commit_callbacks: Callable, action: str
) -> None:
    run = launched(first.endpoint.project, endpoint=first.endpoint)
    pullers.rest(run, 3600, "Every call of the day has been made.")
    assert pullers.rests(run)
    address = at(first.endpoint.project, first.endpoint, action, *([] if action == "key-add" else [first.pk]))
    with django_capture_on_commit_callbacks(execute=True):
        assert client_of(owner).post(address, {"key": SECOND}).status_code == 302
    assert not pullers.rests(run)


def test_workers_are_told_of_a_key_that_an_administrator_deletes(
    first: EndpointKey, django_capture_on_commit_callbacks: Callable
) -> None:
    pulse.board().delete(keyring.revision_name(first.endpoint_id))
    with django_capture_on_commit_callbacks(execute=True):
        first.delete()
    assert pulse.board().exists(keyring.revision_name(first.endpoint_id))


# -- with the endpoint's own form ---------------------------------------------------------------------------------------


def test_the_only_key_is_replaced_with_its_limits_kept(first: EndpointKey, owner: User, client_of: ClientOf) -> None:
    EndpointKey.objects.update(name="Mine", daily_limit=9, refused="2026-01-01T00:00:00Z")
    client_of(owner).post(at(first.endpoint.project, first.endpoint), SETTINGS | {"key": SECOND})
    row = first.endpoint.keys.get()
    assert (row.reveal(), row.name, row.daily_limit, row.refused) == (SECOND, "Mine", 9, None)
    assert row.pk != first.pk  # it is counted anew


def test_several_keys_are_not_replaced_by_one_unless_the_address_changes(
    first: EndpointKey, owner: User, client_of: ClientOf
) -> None:
    client, endpoint = client_of(owner), first.endpoint
    add(client, endpoint)
    address, third = at(endpoint.project, endpoint), {"key": "sk-third-0123456789-cccc"}
    refused = client.post(address, SETTINGS | third)
    assert "add another one below" in refused.context["form"].errors["key"][0]
    assert endpoint.keys.count() == 2
    moved = {"base_url": "http://127.0.0.1:10/v1"}
    assert "enter the key again" in client.post(address, SETTINGS | moved).context["form"].errors["key"][0]
    assert client.post(address, SETTINGS | moved | third).status_code == 302
    assert [key.hint for key in endpoint.keys.all()] == ["cccc"]


# -- how they fare ------------------------------------------------------------------------------------------------------


def test_the_page_says_how_each_key_fares(first: EndpointKey, owner: User, client_of: ClientOf) -> None:
    client, endpoint = client_of(owner), first.endpoint
    now = time.time()
    use(first, hour=int(now // 3600), hour_calls=1234, day=int(now // 86400) - 1, day_calls=99_999)
    page = shown(client, endpoint)
    assert "1\u202f234" in page
    assert "99\u202f999" not in page  # of the day before
    assert "Ready" in page

    EndpointKey.objects.update(hourly_limit=1234)
    assert "Limit reached" in shown(client, endpoint)
    use(first, rests=int(now + 300) * 1000)
    assert "Rests" in shown(client, endpoint)
    EndpointKey.objects.update(refused="2026-01-01T00:00:00Z", refusal="<b>No</b> such key.")
    page = shown(client, endpoint)
    assert "&lt;b&gt;No&lt;/b&gt; such key." in page
    assert "Try again" in page
    listed = client.get(reverse("generation:endpoint-list", args=[endpoint.project.slug])).content.decode()
    assert "refused" in listed


def test_a_program_reads_how_keys_fare_and_never_a_key(
    project: Project, first: EndpointKey, owner: User, stranger: User
) -> None:
    path = f"/projects/{project.slug}/endpoints/{first.endpoint_id}/keys"
    use(first, rests=int(time.time() + 300) * 1000)
    (key,) = Program.of(owner).get(path)
    assert (key["id"], key["hint"], key["state"], key["active"]) == (first.pk, "aaaa", "resting", True)
    assert key["use"]["rests_until"]
    assert (key["use"]["calls_hour"], key["refused"], key["hourly_limit"]) == (0, None, None)
    assert FIRST not in str(key)
    refusal(Program.of(stranger).call("GET", path), 404)
