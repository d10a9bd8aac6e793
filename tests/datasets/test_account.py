"""A person's own account: logging in, and API tokens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from datasets.models import ApiToken, User
from datasets.tasks import forget_sessions
from tests.factories import make_user

ClientOf = Callable[[User], Client]


def test_a_person_logs_in_and_out(db: None) -> None:
    make_user("nora", password="a-long-pass-phrase")
    client = Client()
    answer = client.post(reverse("login"), {"username": "nora", "password": "a-long-pass-phrase"})
    assert answer["Location"] == reverse("datasets:project-list")
    assert client.post(reverse("logout")).status_code == 302
    assert client.get("/")["Location"].startswith(reverse("login"))


def test_a_wrong_password_says_so(db: None) -> None:
    make_user("nora", password="a-long-pass-phrase")
    page = Client().post(reverse("login"), {"username": "nora", "password": "wrong"})
    assert page.status_code == 200
    assert "correct username and password" in page.content.decode()


def test_a_token_is_shown_once_and_stored_only_as_a_digest(owner: User, client_of: ClientOf) -> None:
    client = client_of(owner)
    answer = client.post(reverse("datasets:token-new"), {"name": "nightly"})
    row = ApiToken.objects.get(user=owner)
    token = answer.context["token"]
    assert token in answer.content.decode()
    assert answer["Cache-Control"] == "no-store"
    assert row.digest == ApiToken.digest_of(token)
    assert token not in client.get(reverse("datasets:account")).content.decode()


def test_a_revoked_token_is_gone_and_nobody_revokes_anothers(owner: User, stranger: User, client_of: ClientOf) -> None:
    row, _ = ApiToken.issue(owner, "nightly")
    address = reverse("datasets:token-delete", args=[row.pk])
    assert client_of(stranger).post(address).status_code == 404
    assert client_of(owner).post(address).status_code == 302
    assert not ApiToken.objects.exists()


def test_sessions_that_time_has_ended_are_forgotten_and_others_go_on(
    owner: User, teammate: User, client_of: ClientOf
) -> None:
    client_of(owner)
    Session.objects.update(expire_date=timezone.now() - timedelta(minutes=1))
    client = client_of(teammate)
    forget_sessions()
    assert Session.objects.get().get_decoded()["_auth_user_id"] == str(teammate.pk)
    assert client.get(reverse("datasets:account")).status_code == 200
