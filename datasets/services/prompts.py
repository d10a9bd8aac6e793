"""Prompts: every saved change is a new version, and nothing that was used is ever overwritten."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from datasets.models import Project, Prompt, PromptVersion, User

from .errors import Refused


def save_prompt(
    *,
    project: Project,
    name: str,
    role: str,
    text: str,
    author: User | None,
    note: str = "",
    prompt: Prompt | None = None,
) -> Prompt:
    """Make a prompt, or save `prompt` under a new name or with a new text. An unchanged text makes no version."""
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise Refused("Write the prompt's text.", field="text")
    try:
        with transaction.atomic():
            return _save(project, name.strip(), role, text, author, note, prompt)
    except IntegrityError as error:
        raise Refused("Another prompt of this role has that name: choose a different one.", field="name") from error


def _save(
    project: Project, name: str, role: str, text: str, author: User | None, note: str, prompt: Prompt | None
) -> Prompt:
    if prompt is None:
        prompt = Prompt.objects.create(project=project, name=name, role=role)
    # Without its version, which is read once the row is held: whoever held it before may have made another.
    locked = Prompt.objects.select_for_update().get(pk=prompt.pk)
    if locked.current is None or locked.current.text != text:
        number = locked.current.number + 1 if locked.current else 1
        locked.current = PromptVersion.objects.create(
            prompt=locked, number=number, text=text, author=author, note=note.strip()
        )
    locked.name = name
    locked.save()
    return locked
