"""Projects, their members and their settings, as pages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from datasets.models import Membership, Project, Role, User
from tests.factories import make_conversation, make_corpus, make_project, make_user

ClientOf = Callable[[User], Client]
PAGES = ["project-home", "activity", "member-list", "persona-list", "prompt-list"]


@pytest.mark.parametrize("page", PAGES)
def test_members_see_the_project_and_strangers_do_not_learn_that_it_exists(
    project: Project, owner: User, annotator: User, stranger: User, client_of: ClientOf, page: str
) -> None:
    address = reverse(f"datasets:{page}", args=[project.slug])
    assert client_of(owner).get(address).status_code == 200
    assert client_of(annotator).get(address).status_code == 200
    assert client_of(stranger).get(address).status_code == 404
    assert Client().get(address)["Location"].startswith(reverse("login"))


def test_the_list_shows_only_ones_own_projects(
    project: Project, owner: User, stranger: User, client_of: ClientOf
) -> None:
    make_conversation(project, status="approved")
    mine = client_of(owner).get(reverse("datasets:project-list")).content.decode()
    assert project.name in mine
    assert project.name not in client_of(stranger).get(reverse("datasets:project-list")).content.decode()


def test_the_list_takes_as_many_queries_for_ten_projects_as_for_one(
    owner: User, client_of: ClientOf, django_assert_max_num_queries: Callable
) -> None:
    for _ in range(10):
        make_corpus(make_project(owner))
    client = client_of(owner)
    with django_assert_max_num_queries(5):
        client.get(reverse("datasets:project-list"))


def test_a_new_project_is_ready_for_a_first_run(owner: User, client_of: ClientOf) -> None:
    answer = client_of(owner).post(reverse("datasets:project-new"), {"name": "Field notes", "description": ""})
    made = Project.objects.get(name="Field notes")
    assert answer["Location"] == reverse("datasets:project-home", args=[made.slug])
    assert made.role_of(owner) == Role.OWNER
    assert set(made.prompts.values_list("role", flat=True)) == {"respondent", "correspondent"}
    assert [endpoint.preset for endpoint in made.endpoints.all()] == ["offline"]


def test_two_projects_of_one_name_have_two_addresses(owner: User, client_of: ClientOf) -> None:
    for _ in range(2):
        client_of(owner).post(reverse("datasets:project-new"), {"name": "Field notes"})
    assert set(Project.objects.values_list("slug", flat=True)) == {"field-notes", "field-notes-2"}


def test_a_name_of_symbols_still_gets_an_address(owner: User, client_of: ClientOf) -> None:
    answer = client_of(owner).post(reverse("datasets:project-new"), {"name": "资料"})
    assert answer.status_code == 302
    assert Project.objects.get(name="资料").slug == "project"


def test_a_project_without_a_name_is_refused_beside_the_field(owner: User, client_of: ClientOf) -> None:
    answer = client_of(owner).post(reverse("datasets:project-new"), {"name": ""})
    assert answer.status_code == 422
    assert b"required" in answer.content


def test_only_an_owner_changes_the_settings(project: Project, owner: User, teammate: User, client_of: ClientOf) -> None:
    address = reverse("datasets:project-settings", args=[project.slug])
    assert client_of(teammate).post(address, {"name": "Mine now"}).status_code == 403
    assert client_of(owner).post(address, {"name": "Renamed"}).status_code == 302
    project.refresh_from_db()
    assert (project.name, project.slug) == ("Renamed", "handbook")


def test_the_rail_leads_nobody_to_settings_that_are_not_open_to_them(
    project: Project, owner: User, annotator: User, client_of: ClientOf
) -> None:
    home, settings = (reverse(f"datasets:{name}", args=[project.slug]) for name in ("project-home", "project-settings"))
    assert settings in client_of(owner).get(home).content.decode()
    assert settings not in client_of(annotator).get(home).content.decode()


def test_a_project_is_deleted_only_by_its_name_and_without_corpora(
    project: Project, owner: User, client_of: ClientOf
) -> None:
    address = reverse("datasets:project-delete", args=[project.slug])
    corpus = make_corpus(project)
    make_conversation(project)
    client_of(owner).post(address, {"name": "something else"})
    client_of(owner).post(address, {"name": project.name})
    assert Project.objects.filter(pk=project.pk).exists()
    corpus.delete()
    client_of(owner).post(address, {"name": project.name})
    assert not Project.objects.filter(pk=project.pk).exists()


def test_an_owner_adds_a_member_by_name_or_address(project: Project, owner: User, client_of: ClientOf) -> None:
    make_user("nora", email="nora@example.com")
    address = reverse("datasets:member-add", args=[project.slug])
    client_of(owner).post(address, {"username": "NORA@example.com", "role": "annotator"})
    assert project.memberships.get(user__username="nora").role == Role.ANNOTATOR
    client_of(owner).post(address, {"username": "nora", "role": "curator"})
    assert project.memberships.get(user__username="nora").role == Role.CURATOR


def test_an_unknown_name_is_refused_with_what_to_do(project: Project, owner: User, client_of: ClientOf) -> None:
    address = reverse("datasets:member-add", args=[project.slug])
    answer = client_of(owner).post(address, {"username": "nobody", "role": "viewer"})
    assert answer.status_code == 422
    assert "administrator can add people" in answer.content.decode()


@pytest.mark.parametrize("change", [{"role": "viewer"}, {"remove": "1"}])
def test_the_last_owner_stays(project: Project, owner: User, client_of: ClientOf, change: dict[str, str]) -> None:
    mine = Membership.objects.get(project=project, user=owner)
    client_of(owner).post(reverse("datasets:member-change", args=[project.slug, mine.pk]), change)
    assert project.role_of(owner) == Role.OWNER


def test_only_owners_change_roles_and_only_in_their_own_project(
    project: Project, owner: User, teammate: User, stranger: User, client_of: ClientOf
) -> None:
    theirs = Membership.objects.get(project=project, user=teammate)
    address = reverse("datasets:member-change", args=[project.slug, theirs.pk])
    assert client_of(teammate).post(address, {"role": "owner"}).status_code == 403
    foreign = reverse("datasets:member-change", args=[stranger.projects.get().slug, theirs.pk])
    assert client_of(stranger).post(foreign, {"role": "viewer"}).status_code == 404
    client_of(owner).post(address, {"role": "viewer"})
    assert project.role_of(teammate) == Role.VIEWER


def test_a_removed_member_is_out_at_once(project: Project, owner: User, teammate: User, client_of: ClientOf) -> None:
    client = client_of(teammate)
    theirs = Membership.objects.get(project=project, user=teammate)
    client_of(owner).post(reverse("datasets:member-change", args=[project.slug, theirs.pk]), {"remove": "1"})
    assert client.get(reverse("datasets:project-home", args=[project.slug])).status_code == 404


def test_markup_in_names_is_only_text(owner: User, client_of: ClientOf) -> None:
    project = make_project(owner, name="<script>alert(1)</script>", slug="xss")
    page = client_of(owner).get(reverse("datasets:project-home", args=[project.slug])).content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_pages_forbid_scripts_from_elsewhere(owner: User, client_of: ClientOf) -> None:
    policy = client_of(owner).get("/")["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
