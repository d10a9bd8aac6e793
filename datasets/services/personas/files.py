"""Personas out of a project, as rows of a file."""

from __future__ import annotations

from collections.abc import Iterator

from datasets.formats.personas import PersonaRow
from datasets.models import Persona, PersonaVersion
from datasets.models.personas import PersonaQuerySet

SLICE = 2_000


def rows_of(personas: PersonaQuerySet) -> Iterator[PersonaRow]:
    """Everything of each persona that can be said outside of its project, the earliest first."""
    related = ("current", "parent", "document__corpus", "document__source")
    found = personas.select_related(*related).defer("document__text", "document__pages", "document__metadata")
    for persona in found.order_by("pk").iterator(chunk_size=SLICE):
        yield _row(persona, persona.current)


def _row(persona: Persona, version: PersonaVersion) -> PersonaRow:
    """Not validated: what is in the archive is written as it is."""
    document = persona.document
    return PersonaRow.model_construct(
        name=persona.name,
        description=version.description,
        features=version.features,
        system_prompt=version.system_prompt,
        document=document.title if document else "",
        corpus=document.corpus.name if document else "",
        file=document.source.name if document else "",
        key=document.key if document else "",
        parent=persona.parent.name if persona.parent else "",
        depth=persona.depth,
        proposed=persona.proposed,
        archived=persona.archived,
        model=version.model,
    )
