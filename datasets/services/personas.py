"""Personas: every saved change is a new version."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from datasets.models import Persona, PersonaVersion, Project, User

from .errors import Refused


def save_persona(
    *,
    project: Project,
    name: str,
    description: str,
    features: dict[str, Any],
    author: User | None,
    persona: Persona | None = None,
) -> Persona:
    """Make a persona, or save `persona` under a new name or with a new text. An unchanged text makes no version."""
    description = description.replace("\r\n", "\n").strip()
    if not description:
        raise Refused("Describe who this person is.", field="description")
    try:
        with transaction.atomic():
            return _save(project, name.strip(), description, features, author, persona)
    except IntegrityError as error:
        raise Refused("Another persona has that name: choose a different one.", field="name") from error


def _save(
    project: Project,
    name: str,
    description: str,
    features: dict[str, Any],
    author: User | None,
    persona: Persona | None,
) -> Persona:
    if persona is None:
        persona = Persona.objects.create(project=project, name=name)
    locked = Persona.objects.select_for_update(of=["self"]).select_related("current").get(pk=persona.pk)
    current = locked.current
    if current is None or (current.description, current.features) != (description, features):
        locked.current = PersonaVersion.objects.create(
            persona=locked,
            number=current.number + 1 if current else 1,
            description=description,
            features=features,
            author=author,
        )
    locked.name = name
    locked.save()
    return locked
