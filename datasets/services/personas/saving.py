"""Personas: every saved change is a new version."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from datasets.models import Persona, PersonaVersion, Project, User
from datasets.services.errors import Refused


def save_persona(
    *,
    project: Project,
    name: str,
    description: str,
    features: dict[str, Any],
    author: User | None,
    system_prompt: str | None = None,
    persona: Persona | None = None,
) -> Persona:
    """Make a persona, or save `persona` under a new name or with a new text. An unchanged text makes no version.

    A `system_prompt` of None leaves it as it is.
    """
    description = description.replace("\r\n", "\n").strip()
    if not description:
        raise Refused("Describe who this person is.", field="description")
    if system_prompt is not None:
        system_prompt = system_prompt.replace("\r\n", "\n").strip()
    try:
        with transaction.atomic():
            return _save(project, name.strip(), description, features, system_prompt, author, persona)
    except IntegrityError as error:
        raise Refused("Another persona has that name: choose a different one.", field="name") from error


def _save(
    project: Project,
    name: str,
    description: str,
    features: dict[str, Any],
    system_prompt: str | None,
    author: User | None,
    persona: Persona | None,
) -> Persona:
    if persona is None:
        persona = Persona.objects.create(project=project, name=name)
    # Without its version, which is read once the row is held: whoever held it before may have made another.
    locked = Persona.objects.select_for_update().get(pk=persona.pk)
    current = locked.current
    if system_prompt is None:
        system_prompt = current.system_prompt if current else ""
    said = {"description": description, "features": features, "system_prompt": system_prompt}
    if current is None or said != {field: getattr(current, field) for field in said}:
        number = current.number + 1 if current else 1
        locked.current = PersonaVersion.objects.create(persona=locked, number=number, author=author, **said)
    locked.name = name
    locked.save()
    return locked
