"""Rows for tests, with what a test does not care about filled in."""

from __future__ import annotations

from itertools import count
from typing import Any

from datasets.models import Corpus, Membership, Project, Role, User

numbers = count(1)


def make_user(name: str = "", **fields: Any) -> User:
    return User.objects.create_user(username=name or f"user{next(numbers)}", password="a long password", **fields)


def make_project(owner: User | None = None, **fields: Any) -> Project:
    number = next(numbers)
    project = Project.objects.create(**{"name": f"Project {number}", "slug": f"project-{number}", **fields})
    if owner is not None:
        add_member(project, owner, Role.OWNER)
    return project


def add_member(project: Project, user: User, role: str) -> Membership:
    return Membership.objects.create(project=project, user=user, role=role)


def make_corpus(project: Project | None = None, **fields: Any) -> Corpus:
    return Corpus.objects.create(**{"project": project or make_project(), "name": f"Corpus {next(numbers)}", **fields})
