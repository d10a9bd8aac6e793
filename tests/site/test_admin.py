"""The admin panel: every table can be looked through, and history cannot be changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from datasets.models import Project, Review, User, Version
from generation.models import Endpoint, EndpointKey
from tests.factories import make_conversation

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
HISTORY = ["datasets.version", "datasets.review", "datasets.judgement", "datasets.activity", "generation.call"]


def address(model: type[Model], page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@pytest.fixture
def administrator(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("admin"))
    return client


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)
def test_every_table_is_listed_and_searched(administrator: Client, project: Project, model: type[Model]) -> None:
    make_conversation(project)
    assert administrator.get(address(model, "changelist")).status_code == 200
    assert administrator.get(address(model, "changelist"), {"q": "1"}).status_code == 200


@pytest.mark.parametrize("label", HISTORY)
def test_history_cannot_be_added_to_by_hand(administrator: Client, label: str) -> None:
    model = next(model for model in MODELS if model._meta.label_lower == label)
    assert administrator.get(address(model, "add")).status_code == 403


def test_a_version_is_shown_but_not_changed_or_deleted(administrator: Client, project: Project) -> None:
    version = make_conversation(project).head
    page = administrator.get(address(Version, "change", version.pk))
    assert page.status_code == 200
    assert b'name="messages"' not in page.content
    assert administrator.post(address(Version, "change", version.pk), {"messages": "[]"}).status_code == 403
    assert administrator.post(address(Version, "delete", version.pk), {"post": "yes"}).status_code == 403
    assert Version.objects.filter(pk=version.pk, messages=version.messages).exists()


def test_a_review_stays_whoever_looks(administrator: Client, project: Project, owner: User) -> None:
    conversation = make_conversation(project)
    review = Review.objects.create(
        conversation=conversation, version=conversation.head, reviewer=owner, decision="approved"
    )
    assert administrator.post(address(Review, "delete", review.pk), {"post": "yes"}).status_code == 403


def test_no_key_is_shown(administrator: Client, project: Project) -> None:
    endpoint = Endpoint.objects.create(project=project, name="Server", preset="custom", base_url="http://localhost/v1")
    key = EndpointKey.seal(endpoint, "sk-very-secret-key-1234")
    key.save()
    page = administrator.get(address(Endpoint, "change", endpoint.pk))
    assert page.status_code == 200
    assert b"1234" in page.content
    assert b"very-secret" not in page.content
    assert bytes(key.ciphertext) not in page.content


def test_an_owner_of_a_project_is_no_administrator(owner: User, client_of: Callable[[User], Client]) -> None:
    answer = client_of(owner).get(reverse("admin:index"))
    assert answer.status_code == 302
    assert "/admin/login/" in answer["Location"]


def test_people_are_added_in_the_panel(administrator: Client) -> None:
    fields = {"username": "nora", "password1": "a-long-pass-phrase", "password2": "a-long-pass-phrase"}
    answer = administrator.post(address(User, "add"), {**fields, "usable_password": "true"})
    assert answer.status_code == 302, answer.content.decode()
    assert User.objects.get(username="nora").check_password("a-long-pass-phrase")
