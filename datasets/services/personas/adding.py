"""Many personas at once: what a model has written, or a file has brought."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from django.db import IntegrityError, transaction
from django.db.models import OuterRef, Q, Subquery

from datasets.models import Persona, PersonaVersion, Project, User

LONGEST_NAME = 100
TRIES = 3
"""How often names are chosen anew when somebody else took one of them in the same moment."""
SLICE = 2_000


@dataclass(frozen=True, slots=True)
class Draft:
    """A persona that is to be made. `document` and `parent` are primary keys; `model` is what wrote it."""

    name: str
    description: str
    features: dict[str, str] = field(default_factory=dict)
    system_prompt: str = ""
    document: int | None = None
    parent: int | None = None
    depth: int = 0
    proposed: bool = False
    archived: bool = False
    model: str = ""


def add_personas(*, project: Project, drafts: Sequence[Draft], author: User | None) -> list[Persona]:
    """The new personas, in the order of the drafts. A name that is taken gets a number behind it."""
    for left in reversed(range(TRIES)):
        try:
            with transaction.atomic():
                return [
                    row
                    for start in range(0, len(drafts), SLICE)
                    for row in _add(project, drafts[start : start + SLICE], author)
                ]
        except IntegrityError:
            if not left:
                raise
    raise AssertionError("There is at least one try.")


def _add(project: Project, drafts: Sequence[Draft], author: User | None) -> list[Persona]:
    names = free_names(project, [draft.name for draft in drafts])
    rows = Persona.objects.bulk_create(
        Persona(
            project=project,
            name=name,
            document_id=draft.document,
            parent_id=draft.parent,
            depth=draft.depth,
            proposed=draft.proposed,
            archived=draft.archived,
        )
        for name, draft in zip(names, drafts, strict=True)
    )
    PersonaVersion.objects.bulk_create(
        PersonaVersion(
            persona=row,
            number=1,
            description=draft.description,
            features=draft.features,
            system_prompt=draft.system_prompt,
            model=draft.model[:150],
            author=author,
        )
        for row, draft in zip(rows, drafts, strict=True)
    )
    first = PersonaVersion.objects.filter(persona=OuterRef("pk"), number=1).values("pk")
    Persona.objects.filter(pk__in=[row.pk for row in rows]).update(current=Subquery(first))
    return rows


def free_names(project: Project, wanted: Sequence[str]) -> list[str]:
    """The wanted names; those that are taken, in the project or earlier in the list, with a number that makes them free."""
    wanted = [name[:LONGEST_NAME].strip() for name in wanted]
    taken = _taken(project, wanted)
    numbers: dict[str, Iterator[int]] = defaultdict(lambda: count(2))
    free = []
    for name in wanted:
        chosen = name
        while chosen in taken:
            chosen = f"{_stem(name)} ({next(numbers[name])})"
        taken.add(chosen)
        free.append(chosen)
    return free


def _taken(project: Project, wanted: Sequence[str]) -> set[str]:
    """The names of the project that the wanted ones could meet."""
    taken = set(project.personas.filter(name__in=set(wanted)).values_list("name", flat=True))
    stems = sorted({_stem(name) for name, times in Counter(wanted).items() if times > 1 or name in taken})
    for start in range(0, len(stems), 100):
        near = Q()
        for stem in stems[start : start + 100]:
            near |= Q(name__startswith=stem)
        taken.update(project.personas.filter(near).values_list("name", flat=True))
    return taken


def _stem(name: str) -> str:
    """What of a name leaves room for a number behind it."""
    return name[: LONGEST_NAME - 9].strip()
