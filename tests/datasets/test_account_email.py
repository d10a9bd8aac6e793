"""A person's own e-mail address, which counts once they have opened the link that was sent there."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from datasets import tasks
from datasets.models import User
from datasets.services import accounts

ClientOf = Callable[[User], Client]
CHANGE, ACCOUNT = "datasets:email-change", "datasets:account"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _mail_server(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are sent at once, into `mail.outbox`."""
    settings.EMAIL_HOST = "mail.example"
    monkeypatch.setattr(tasks.send_email_confirmation, "delay", tasks.send_email_confirmation)


def ask(client: Client, user: User, email: str) -> str:
    """The path of the link that is sent."""
    cache.delete(f"email-confirmation-{user.pk}")
    assert client.post(reverse(CHANGE), {"email": email}).status_code == 302
    found = re.search(r"http://\S+?(/account/email/\S+)", mail.outbox[-1].body)
    assert found
    return found[1]


def email_of(user: User) -> str:
    return User.objects.values_list("email", flat=True).get(pk=user.pk)


def refused(client: Client, email: str) -> str:
    """What stands beside the field."""
    answer = client.post(reverse(CHANGE), {"email": email})
    assert answer.status_code == 422
    assert answer.context["email"]["email"].value() == email
    return " ".join(answer.context["email"].errors["email"])


def test_an_address_counts_once_its_link_is_confirmed(owner: User, client_of: ClientOf) -> None:
    client = client_of(owner)
    link = ask(client, owner, "olivia@new.example")
    assert mail.outbox[-1].to == ["olivia@new.example"]
    assert email_of(owner) == ""
    page = client.get(link)
    assert "olivia@new.example" in page.content.decode()
    assert email_of(owner) == ""  # programs open links as well
    assert client.post(link)["Location"] == reverse(ACCOUNT)
    assert email_of(owner) == "olivia@new.example"
    assert 'value="olivia@new.example"' in client.get(reverse(ACCOUNT)).content.decode()


def test_an_address_is_removed_at_once(owner: User, client_of: ClientOf) -> None:
    User.objects.filter(pk=owner.pk).update(email="olivia@old.example")
    assert client_of(owner).post(reverse(CHANGE), {"email": ""}).status_code == 302
    assert email_of(owner) == ""
    assert mail.outbox == []


def test_a_link_counts_for_who_asked_for_it_and_once(
    owner: User, teammate: User, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (ask(client_of(owner), owner, f"olivia@{n}.example") for n in ("one", "two"))
    page = client_of(teammate).post(first, follow=True).content.decode()
    assert "This link is for somebody else" in page
    assert Client().get(first).status_code == 302  # to the login
    assert "This link is broken" in client_of(owner).get(first[:-3] + "/", follow=True).content.decode()
    client_of(owner).post(second)
    assert "Your address has changed since" in client_of(owner).post(first, follow=True).content.decode()
    assert (email_of(owner), email_of(teammate)) == ("olivia@two.example", "")
    third = ask(client_of(owner), owner, "olivia@three.example")
    monkeypatch.setattr(accounts, "LASTS", timedelta(seconds=-1))
    assert "older than a day" in client_of(owner).post(third, follow=True).content.decode()


def test_nobody_takes_an_address_of_somebody_else(owner: User, teammate: User, client_of: ClientOf) -> None:
    link = ask(client_of(owner), owner, "shared@team.example")
    User.objects.filter(pk=teammate.pk).update(email="Shared@team.example")
    assert "Somebody else here has this address" in client_of(owner).post(link, follow=True).content.decode()
    assert "Somebody else here has this address" in refused(client_of(owner), "shared@TEAM.example")
    User.objects.filter(pk=teammate.pk).update(username="tomas@team.example", email="")
    assert "Somebody else here has this address" in refused(client_of(owner), "tomas@team.example")
    assert email_of(owner) == ""


def test_what_cannot_be_asked_for_is_said_beside_the_field(owner: User, client_of: ClientOf, settings: Any) -> None:
    client = client_of(owner)
    assert "valid email address" in refused(client, "olivia at home")
    ask(client, owner, "olivia@one.example")
    assert "less than a minute ago" in refused(client, "olivia@two.example")
    assert len(mail.outbox) == 1
    settings.EMAIL_HOST = ""
    assert refused(client, "olivia@two.example") == accounts.NO_SERVER
    assert "an administrator can enter it" in client.get(reverse(ACCOUNT)).content.decode()
    assert Client().post(reverse(CHANGE), {"email": "x@y.example"}).status_code == 302
    assert email_of(owner) == ""
