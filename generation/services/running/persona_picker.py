"""What the run form shows of a project's personas where they are too many to be listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datasets.models import Document, Persona, Project
from generation.engine.recipe import PersonaGroup
from generation.forms.recipes import as_said
from generation.services.running import persona_pool

CHIPS = 60
"""So many of those who are chosen have a chip of their own."""
FOUND = 10


@dataclass(frozen=True, slots=True)
class Group:
    """A group with its box: `said` is its value, `count` how many are in it now."""

    said: str
    words: str
    document: Document | None
    count: int


@dataclass(frozen=True, slots=True)
class Picker:
    """`chosen` have chips, and so have `groups`; `rest` are those who are chosen besides, as one value of a box.

    `found` are the first of those who match what is `searched`, if anything is, and are not chosen; `more` match as well.
    They are `offered` together, as a group, unless that is chosen already.
    """

    chosen: Sequence[Persona]
    rest: str
    rest_count: int
    groups: Sequence[Group]
    searched: Group
    found: Sequence[Persona]
    more: int
    offered: bool

    @property
    def nobody(self) -> bool:
        return self.searched.count == 0


def look(*, project: Project, chosen: Sequence[int], groups: Sequence[PersonaGroup], searched: PersonaGroup) -> Picker:
    """`chosen` and `groups` as the form has them: those that are not of the project are left out."""
    usable = project.personas.usable()
    known = list(usable.filter(pk__in=chosen).order_by("name")[:CHIPS]) if chosen else []
    shown = {persona.pk for persona in known}
    rest = list(usable.filter(pk__in=chosen).exclude(pk__in=shown).values_list("pk", flat=True)) if chosen else []
    everybody, one = persona_pool.members(project, searched), _group(project, searched)
    others = everybody.exclude(pk__in=chosen) if chosen else everybody
    listed = others.select_related("current", "document").defer("document__text").order_by("name")[:FOUND]
    found = list(listed) if one.count and searched != PersonaGroup() else []  # to find nobody takes longest
    picked = everybody.filter(pk__in=chosen).count() if chosen else 0
    return Picker(
        chosen=known,
        rest=",".join(map(str, rest)),
        rest_count=len(rest),
        groups=[_group(project, group) for group in groups],
        searched=one,
        found=found,
        more=one.count - picked - len(found),
        offered=one.count > 0 and searched not in groups,
    )


def _group(project: Project, group: PersonaGroup) -> Group:
    documents = Document.objects.without_text().filter(corpus__project=project)
    document = documents.filter(pk=group.document).first() if group.document is not None else None
    return Group(as_said(group), group.words, document, persona_pool.members(project, group).count())
