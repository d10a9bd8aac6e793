"""The people of the tests: an owner, a teammate who curates, an annotator, and a stranger of another project."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from datasets.models import Project, Role, User
from tests.factories import add_member, make_project, make_user


@pytest.fixture
def owner(db: None) -> User:
    return make_user("olivia")


@pytest.fixture
def project(owner: User) -> Project:
    return make_project(owner, name="Handbook", slug="handbook")


@pytest.fixture
def teammate(project: Project) -> User:
    user = make_user("tomas")
    add_member(project, user, Role.CURATOR)
    return user


@pytest.fixture
def annotator(project: Project) -> User:
    user = make_user("anna")
    add_member(project, user, Role.ANNOTATOR)
    return user


@pytest.fixture
def stranger(db: None) -> User:
    """Owns a project of their own, and has nothing to do with `project`."""
    user = make_user("sam")
    make_project(user)
    return user


@pytest.fixture
def client_of() -> Callable[[User], Client]:
    """A browser in which that user is logged in."""

    def logged_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return logged_in
