"""Personas and prompts: made, edited as versions, archived, and shown with where they are used."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from datasets.models import Project, Prompt, User
from datasets.services.personas.saving import save_persona
from datasets.services.prompts import save_prompt

ClientOf = Callable[[User], Client]


@pytest.fixture
def prompt(project: Project, owner: User) -> Prompt:
    return save_prompt(project=project, name="Support", role="respondent", text="You help.", author=owner)


def test_a_curator_makes_a_persona_with_traits(project: Project, teammate: User, client_of: ClientOf) -> None:
    fields = {"name": "Priya", "description": "Writes firmware.", "features": "role: engineer\ntone: dry: very"}
    answer = client_of(teammate).post(reverse("datasets:persona-new", args=[project.slug]), fields)
    persona = project.personas.get()
    assert answer["Location"] == reverse("datasets:persona-detail", args=[project.slug, persona.pk])
    assert persona.current.features == {"role": "engineer", "tone": "dry: very"}
    assert persona.current.author == teammate


def test_a_trait_that_is_none_is_named(project: Project, owner: User, client_of: ClientOf) -> None:
    fields = {"name": "Priya", "description": "Writes firmware.", "features": "role engineer"}
    answer = client_of(owner).post(reverse("datasets:persona-new", args=[project.slug]), fields)
    assert answer.status_code == 422
    assert "this line is not: role engineer" in answer.content.decode()
    assert not project.personas.exists()


def test_an_edited_persona_keeps_its_earlier_versions(project: Project, owner: User, client_of: ClientOf) -> None:
    persona = save_persona(project=project, name="Priya", description="One.", features={}, author=owner)
    address = reverse("datasets:persona-detail", args=[project.slug, persona.pk])
    client_of(owner).post(address, {"name": "Priya", "description": "Two."})
    client_of(owner).post(address, {"name": "Priya N.", "description": "Two."})
    persona.refresh_from_db()
    assert [version.description for version in persona.versions.all()] == ["Two.", "One."]
    assert (persona.name, persona.current.number) == ("Priya N.", 2)


def test_annotators_read_but_do_not_write(
    project: Project, prompt: Prompt, annotator: User, client_of: ClientOf
) -> None:
    client, address = client_of(annotator), reverse("datasets:prompt-detail", args=[project.slug, prompt.pk])
    assert b"You help." in client.get(address).content
    assert client.post(address, {"name": "X", "text": "Y"}).status_code == 403
    assert client.get(reverse("datasets:prompt-new", args=[project.slug])).status_code == 403


def test_what_is_of_another_project_is_not_found(
    prompt: Prompt, stranger: User, client_of: ClientOf, project: Project
) -> None:
    theirs = stranger.projects.get()
    address = reverse("datasets:prompt-detail", args=[theirs.slug, prompt.pk])
    assert client_of(stranger).get(address).status_code == 404
    assert client_of(stranger).post(address, {"name": "X", "text": "Y"}).status_code == 404


def test_an_edited_prompt_shows_what_changed(
    project: Project, prompt: Prompt, owner: User, client_of: ClientOf
) -> None:
    address = reverse("datasets:prompt-detail", args=[project.slug, prompt.pk])
    client_of(owner).post(address, {"name": "Support", "text": "You help kindly.", "note": "kinder"})
    prompt.refresh_from_db()
    assert prompt.current.number == 2
    assert prompt.role == "respondent"
    page = client_of(owner).get(address).content.decode()
    assert "kinder" in page
    assert "<ins>" in page or "added" in page


def test_who_writes_on_a_version_that_is_no_longer_the_newest_is_told_before_it_is_covered(
    project: Project, prompt: Prompt, owner: User, teammate: User, client_of: ClientOf
) -> None:
    address = reverse("datasets:prompt-detail", args=[project.slug, prompt.pk])
    mine = {"name": "Support", "text": "Mine.", "base": "1"}
    assert 'name="base" value="1"' in client_of(owner).get(address).content.decode()
    assert client_of(teammate).post(address, mine | {"text": "Theirs."}).status_code == 302
    answer = client_of(owner).post(address, mine)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert f"Version 2 was saved by {teammate} while you were writing" in page
    assert 'name="base" value="2"' in page
    assert "Mine." in page
    assert client_of(owner).post(address, mine | {"base": "2"}).status_code == 302
    assert list(prompt.versions.order_by("number").values_list("text", flat=True))[1:] == ["Theirs.", "Mine."]


def test_an_unchanged_text_makes_no_version(project: Project, prompt: Prompt, owner: User, client_of: ClientOf) -> None:
    address = reverse("datasets:prompt-detail", args=[project.slug, prompt.pk])
    client_of(owner).post(address, {"name": "Support", "text": "You help.\r\n"})
    assert prompt.versions.count() == 1


def test_a_taken_name_is_refused_beside_the_field(
    project: Project, prompt: Prompt, owner: User, client_of: ClientOf
) -> None:
    fields = {"name": "Support", "role": "respondent", "text": "Other."}
    answer = client_of(owner).post(reverse("datasets:prompt-new", args=[project.slug]), fields)
    assert answer.status_code == 422
    assert "Another prompt of this role has that name" in answer.content.decode()
    assert project.prompts.count() == 1


def test_the_role_of_a_prompt_cannot_be_changed_by_hand(
    project: Project, prompt: Prompt, owner: User, client_of: ClientOf
) -> None:
    address = reverse("datasets:prompt-detail", args=[project.slug, prompt.pk])
    client_of(owner).post(address, {"name": "Support", "text": "New.", "role": "correspondent"})
    prompt.refresh_from_db()
    assert prompt.role == "respondent"
    assert prompt.current.text == "New."


def test_an_archived_prompt_leaves_the_list_and_comes_back(
    project: Project, prompt: Prompt, owner: User, client_of: ClientOf
) -> None:
    client, listed = client_of(owner), reverse("datasets:prompt-list", args=[project.slug])
    archive = reverse("datasets:prompt-archive", args=[project.slug, prompt.pk])
    client.post(archive)
    assert b"Support" not in client.get(listed).content
    assert b"Support" in client.get(listed + "?archived").content
    client.post(archive)
    assert b"Support" in client.get(listed).content


def test_markup_in_a_prompt_is_only_text(project: Project, owner: User, client_of: ClientOf) -> None:
    text = "</textarea><script>alert(1)</script>"
    prompt = save_prompt(project=project, name="Sly", role="respondent", text=text, author=owner)
    page = client_of(owner).get(reverse("datasets:prompt-detail", args=[project.slug, prompt.pk])).content.decode()
    assert "<script>alert(1)" not in page
