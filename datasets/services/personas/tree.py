"""The people of one document in the order in which they were written from each other, and the way through their review."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Max, Min

from datasets.models import Document, Persona, Project
from datasets.models.personas import PersonaQuerySet

DEEPEST_SHOWN = 6
SHOWN = 400
"""People of one tree that a page lists around the one that is looked at."""


@dataclass(frozen=True, slots=True)
class Twig:
    """A persona and how far it is indented."""

    persona: Persona
    level: int


@dataclass(frozen=True, slots=True)
class Review:
    """One persona among the people of its document. `document` is None for those that have none.

    `twigs` are those around `persona`; `hidden` is how many more there are. `later` is the next one that waits, here or at
    another document.
    """

    document: Document | None
    persona: Persona | None
    twigs: Sequence[Twig]
    hidden: int
    previous: Persona | None
    next: Persona | None
    later: int | None
    waiting: int
    waiting_here: int


def people_of(project: Project, document: int | None) -> PersonaQuerySet:
    """Everybody who was written from a document; of those without one, only who waits for review."""
    if document is None:
        return project.personas.waiting().filter(document=None)
    return project.personas.filter(document=document)


def tree_of(personas: Iterable[Persona]) -> list[Twig]:
    """Each persona followed by those that were written from it. One whose parent is not among them begins a tree."""
    rows = {persona.pk: persona for persona in personas}
    children: dict[int | None, list[Persona]] = defaultdict(list)
    for persona in rows.values():
        children[persona.parent_id if persona.parent_id in rows else None].append(persona)
    found: list[Twig] = []
    stack = [Twig(persona, 0) for persona in reversed(children[None])]
    while stack:
        twig = stack.pop()
        found.append(twig)
        level = min(twig.level + 1, DEEPEST_SHOWN)
        stack.extend(Twig(child, level) for child in reversed(children[twig.persona.pk]))
    return found


def review_of(*, project: Project, persona: Persona | None = None, document: int | None = None) -> Review:
    """Where somebody stands who reviews: at `persona`, or at the first that waits, of `document` if one is given.

    A `document` of 0 stands for those without one.
    """
    if persona is not None:
        place = persona.document_id
    else:
        place = _next_place(project, None) if document is None else document or None
    people = list(people_of(project, place).order_by("depth", "pk"))
    if persona is not None and persona not in people:
        people.append(persona)
    return _review(project, place, tree_of(people), persona.pk if persona else 0)


def _review(project: Project, place: int | None, twigs: list[Twig], persona: int) -> Review:
    order = [twig.persona for twig in twigs]
    waits = [index for index, one in enumerate(order) if one.proposed and not one.archived]
    numbers = {one.pk: index for index, one in enumerate(order)}
    index = numbers.get(persona, waits[0] if waits else 0 if order else None)
    later = _later(waits, index)
    shown = _window(index or 0, len(twigs))
    return Review(
        document=Document.objects.without_text().filter(pk=place).select_related("corpus").first() if place else None,
        persona=order[index] if index is not None else None,
        twigs=twigs[shown],
        hidden=len(twigs) - len(twigs[shown]),
        previous=order[index - 1] if index else None,
        next=order[index + 1] if index is not None and index + 1 < len(order) else None,
        later=order[later].pk if later is not None else _first_elsewhere(project, place),
        waiting=project.personas.waiting().count(),
        waiting_here=len(waits),
    )


def _later(waits: Sequence[int], index: int | None) -> int | None:
    """The next that waits after `index`, or from the beginning when there is none behind it."""
    others = [one for one in waits if one != index]
    return next((one for one in others if index is None or one > index), others[0] if others else None)


def _window(index: int, total: int) -> slice:
    start = max(0, min(index - SHOWN // 2, total - SHOWN))
    return slice(start, start + SHOWN)


def _first_elsewhere(project: Project, place: int | None) -> int | None:
    """The first that waits at the next document, the documents going round."""
    others = project.personas.waiting().exclude(document=place)
    if not others.exists():
        return None
    there = others.filter(document=_next_place(project, place)).order_by("depth", "pk")
    return there.values_list("pk", flat=True).first()


def _next_place(project: Project, place: int | None) -> int | None:
    """The next document after `place` at which somebody waits; None for those without a document, who come last."""
    waiting = project.personas.waiting()
    behind = waiting if place is None else waiting.filter(document__gt=place)
    found = behind.aggregate(first=Min("document"))["first"]
    if found is None and place is not None and not waiting.filter(document=None).exists():
        found = waiting.exclude(document=place).aggregate(first=Min("document"))["first"]
    return found


def neighbour(project: Project, place: int | None, step: int) -> int | None:
    """The document before or after `place` at which somebody waits."""
    waiting = project.personas.waiting().exclude(document=None)
    if step > 0:
        return waiting.filter(document__gt=place or 0).aggregate(found=Min("document"))["found"]
    before = waiting if place is None else waiting.filter(document__lt=place)
    return before.aggregate(found=Max("document"))["found"]
