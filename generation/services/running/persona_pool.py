"""Which personas are dealt over the conversations of a run: those that its recipe names, and those of its groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from datasets.models import Document, Persona, Project
from datasets.models.personas import PersonaQuerySet
from datasets.services.errors import Refused
from generation.engine.recipe import PersonaGroup, Recipe
from generation.frozen import NAMED, FrozenCast


def members(project: Project, group: PersonaGroup) -> PersonaQuerySet:
    """Everybody of a group."""
    rows = project.personas.usable().filter(current__isnull=False).matching(group.words)
    return rows if group.document is None else rows.filter(document=group.document)


def check(*, project: Project, spec: Recipe) -> None:
    """Raises Refused when the recipe names whom the project does not have, or a group in which nobody is."""
    if _named(project, spec).count() != len(set(spec.personas)):
        raise Refused("One of those personas is not in this project: choose again.", field="personas")
    documents = {group.document for group in spec.persona_groups if group.document is not None}
    if Document.objects.filter(pk__in=documents, corpus__project=project).count() != len(documents):
        raise Refused("A document whose personas take part is not in this project: choose again.", field="personas")
    for group in spec.persona_groups:
        if not members(project, group).exists():
            said = f" matches “{group.words}”" if group.words else " is there to take part"
            raise Refused(f"No usable persona{said}: choose others.", field="personas")


def versions_dealt(*, project: Project, spec: Recipe) -> dict[int, int]:
    """The version in use of everybody who is dealt, by persona, in the order in which a plan takes them."""
    named = dict(_named(project, spec).values_list("pk", "current_id"))
    found = {pk: named[pk] for pk in spec.personas if pk in named}
    for rows in _groups(project, spec):
        found |= dict(rows.order_by("pk").values_list("pk", "current_id"))
    return found


def sample(*, project: Project, spec: Recipe, size: int) -> list[Persona]:
    """Some of those who are dealt, at most `size`, with their texts."""
    parts = (_named(project, spec), *_groups(project, spec))
    return list(islice((row for rows in parts for row in rows.select_related("current").order_by("pk")[:size]), size))


def cast_of(dealt: Mapping[int, int]) -> FrozenCast:
    """How a run tells of them."""
    first = tuple(islice(dealt, NAMED))
    names = dict(Persona.objects.filter(pk__in=first).values_list("pk", "name"))
    return FrozenCast(total=len(dealt), names=tuple(names[pk] for pk in first))


def _named(project: Project, spec: Recipe) -> PersonaQuerySet:
    """An archived one can still be named: recipes that are kept outlive it."""
    rows = project.personas.filter(proposed=False, current__isnull=False)
    return rows.filter(pk__in=spec.personas) if spec.personas else rows.none()


def _groups(project: Project, spec: Recipe) -> Iterator[PersonaQuerySet]:
    """Those of each group. Who asks about a document of the run anyway is dealt only where that document is named."""
    for group in spec.persona_groups:
        rows = members(project, group)
        asks_anyway = spec.grown_personas and spec.corpus is not None and group.document is None
        yield rows.exclude(document__corpus=spec.corpus) if asks_anyway else rows
