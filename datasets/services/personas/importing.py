"""Personas into a project, out of a text of JSONL or YAML: read by a worker, slice by slice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from datasets.formats.personas import Entry, PersonaRow, Problem, Unreadable, read
from datasets.models import Document, Persona, PersonaImport, PersonaVersion, Project, User
from datasets.services.activity import record_activity
from datasets.services.errors import Refused
from datasets.services.personas.adding import Draft, add_personas
from datasets.services.personas.saving import save_persona

State = PersonaImport.State
MOST = 20_000
"""Personas that one file may bring."""
SHORT, FEW = 200_000, 100
"""Characters and personas up to which an import is done within the request that asks for it: less than a second."""
SLICE = 500
QUIET = timedelta(seconds=30)
PROBLEMS_SHOWN = 50
FROM_DESCRIPTION = 60
"""Characters of a name that is made of a description."""


# -- asked for ----------------------------------------------------------------------------------------------------------


def start_import(
    *, project: Project, text: str, author: User, is_yaml: bool | None = None, review: bool = False
) -> PersonaImport:
    """Ask for every readable persona of a text; with `review`, each new one waits to be accepted. `carry_on` does it.

    One of a name that the project has becomes a new version of it if it says something else. Raises Refused when a short
    text cannot be read; of a long one, its import says so later.
    """
    total = len(_understood(text, is_yaml).people) if len(text) <= SHORT else 0
    return PersonaImport.objects.create(
        project=project, text=text, is_yaml=is_yaml, review=review, total=total, created_by=author
    )


def is_quick(row: PersonaImport) -> bool:
    """Whether somebody can wait for it."""
    return len(row.text) <= SHORT and row.total <= FEW


def left_lying() -> list[int]:
    """Imports that nobody has worked on for a while: whoever did was killed."""
    quiet = PersonaImport.objects.filter(state=State.RUNNING, updated__lt=timezone.now() - QUIET)
    return list(quiet.values_list("pk", flat=True))


# -- read ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Person:
    where: str
    row: PersonaRow
    text: str
    """Of the document that the row stood in, if it stood in one."""


@dataclass(slots=True)
class _Read:
    people: list[_Person] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def _understood(text: str, is_yaml: bool | None) -> _Read:
    """Always the same for the same text, so that an import can be carried on. Raises Refused."""
    try:
        items = list(read(text, is_yaml=is_yaml))
    except Unreadable as error:
        raise Refused(str(error), field="text") from error
    if sum(len(item.rows) for item in items if isinstance(item, Entry)) > MOST:
        raise Refused(f"More than {MOST:,} personas at once are too many: bring them in several files.", field="text")
    found = _Read(problems=[item for item in items if isinstance(item, Problem)])
    _take_once(found, [item for item in items if isinstance(item, Entry)])
    # Names that are given come before names that are made, so that the latter step aside.
    found.people.sort(key=lambda person: not person.row.name)
    return found


def _take_once(found: _Read, entries: Sequence[Entry]) -> None:
    seen: dict[str, str] = {}
    for entry in entries:
        for row in entry.rows:
            if first := seen.get(row.name):
                sentence = f"“{row.name}” stands at {first} already: give each persona a name of its own."
                found.problems.append(Problem(entry.where, sentence))
                continue
            if row.name:
                seen[row.name] = entry.where
            found.people.append(_Person(entry.where, row, entry.text))


# -- brought in ---------------------------------------------------------------------------------------------------------


def carry_on(*, import_id: int) -> None:
    """Bring in what is left. Two that do it at once take slices in turn; an early end costs one slice."""
    row = PersonaImport.objects.filter(pk=import_id, state=State.RUNNING).first()
    if row is None:
        return
    try:
        found = _understood(row.text, row.is_yaml)
    except Refused as refusal:
        ended = {"state": State.FAILED, "error": str(refusal), "text": "", "updated": timezone.now()}
        PersonaImport.objects.filter(pk=import_id, state=State.RUNNING).update(**ended)
        return
    while _advance(import_id, found):
        pass


@transaction.atomic
def _advance(import_id: int, found: _Read) -> bool:
    """The next slice; True while there is more."""
    rows = PersonaImport.objects.select_for_update(of=("self",)).select_related("project", "created_by").defer("text")
    row = rows.get(pk=import_id)
    if row.state != State.RUNNING:
        return False
    if not row.position:
        row.total = len(found.people)
        for problem in found.problems:
            _note(row, problem)
    chunk = found.people[row.position : row.position + SLICE]
    _Slice(row).take(chunk)
    row.position += len(chunk)
    if row.position >= row.total:
        _finish(row)
    row.save()
    return row.is_active


def _finish(row: PersonaImport) -> None:
    for start in range(0, len(row.orphans), SLICE):
        _adopt(row, row.orphans[start : start + SLICE])
    row.state, row.orphans, row.text = State.DONE, [], ""
    if row.added or row.changed:
        brought = f"imported personas: {row.added} new, {row.changed} changed"
        record_activity(project=row.project, actor=row.created_by, text=brought, path="personas/")


def _adopt(row: PersonaImport, orphans: Sequence[tuple[int, str, int, str]]) -> None:
    """Give new personas the parents that they name, once all are there."""
    parents = {name: (pk, depth) for pk, name, depth in row.project.personas.filter(
        name__in={name for _, name, _, _ in orphans}
    ).values_list("pk", "name", "depth")}  # fmt: skip
    below = []
    for pk, name, depth, where in orphans:
        parent, above = parents.get(name, (None, 0))
        # One that stands nearer to the text, so that nobody descends from themselves.
        if parent and above < depth:
            below.append(Persona(pk=pk, parent_id=parent))
            continue
        what = "does not stand in a layer above it" if parent else "is neither in the file nor in the project"
        _note(row, Problem(where, f"It came without its parent: “{name}” {what}."))
    Persona.objects.bulk_update(below, ["parent"])


def _note(row: PersonaImport, problem: Problem) -> None:
    row.problem_count += 1
    if len(row.problems) < PROBLEMS_SHOWN:
        row.problems.append([problem.where, problem.sentence])


@dataclass(frozen=True, slots=True)
class _Slice:
    """Some personas on their way into a project."""

    row: PersonaImport

    @property
    def project(self) -> Project:
        return self.row.project

    def take(self, people: Sequence[_Person]) -> None:
        known = self._known([one.row.name for one in people if one.row.name])
        said = self._said([one.row.description for one in people if not one.row.name])
        documents = _Documents(self.row)
        fresh: list[tuple[_Person, Draft]] = []
        for one in people:
            if persona := known.get(one.row.name):
                self._update(persona, one.row)
            elif not one.row.name and one.row.description in said:
                self.row.unchanged += 1
            else:
                fresh.append((one, self._draft(one.row, documents.find(one))))
        self._add(fresh)

    def _known(self, names: Sequence[str]) -> Mapping[str, Persona]:
        found = self.project.personas.select_related("current").filter(name__in=names)
        return {persona.name: persona for persona in found}

    def _said(self, descriptions: Sequence[str]) -> set[str]:
        versions = PersonaVersion.objects.filter(persona__project=self.project, description__in=descriptions)
        return set(versions.values_list("description", flat=True))

    def _update(self, persona: Persona, row: PersonaRow) -> None:
        texts = {name: getattr(row, name) for name in ("description", "features", "system_prompt")}
        if texts == {name: getattr(persona.current, name) for name in texts}:
            self.row.unchanged += 1
            return
        before = persona.current.number
        saved = save_persona(project=self.project, persona=persona, name=row.name, author=self.row.created_by, **texts)
        if saved.current.number == before:
            self.row.unchanged += 1
        else:
            self.row.changed += 1

    def _draft(self, row: PersonaRow, document: int | None) -> Draft:
        return Draft(
            name=row.name or _name_from(row.description),
            description=row.description,
            features=row.features,
            system_prompt=row.system_prompt,
            document=document,
            depth=row.depth,
            proposed=row.proposed or self.row.review,
            archived=row.archived,
            model=row.model,
        )

    def _add(self, fresh: Sequence[tuple[_Person, Draft]]) -> None:
        drafts = [draft for _, draft in fresh]
        added = add_personas(project=self.project, drafts=drafts, author=self.row.created_by)
        self.row.added += len(added)
        self.row.orphans += [
            (persona.pk, one.row.parent, one.row.depth, one.where)
            for (one, _), persona in zip(fresh, added, strict=True)
            if one.row.parent
        ]


def _name_from(description: str) -> str:
    line = " ".join(description.split())
    return line if len(line) <= FROM_DESCRIPTION else line[:FROM_DESCRIPTION].rpartition(" ")[0] + "…"


class _Documents:
    """The project's documents, by what rows say of them."""

    def __init__(self, row: PersonaImport) -> None:
        self._mine = Document.objects.filter(corpus__in=row.project.corpora.all())
        self._import = row
        self._found: dict[tuple[str, ...], int | None] = {}

    def find(self, one: _Person) -> int | None:
        """The primary key of the one document that is meant. None, and a note, when there is no such or no only one."""
        row = one.row
        if one.text:
            return self._once((one.text,), lambda: self._of_text(one.text))
        if not row.document:
            return None
        return self._once((row.document, row.corpus, row.file, row.key), lambda: self._of_title(one.where, row))

    def _once(self, key: tuple[str, ...], look: Callable[[], int | None]) -> int | None:
        if key not in self._found:
            self._found[key] = look()
        return self._found[key]

    def _of_text(self, text: str) -> int | None:
        return self._mine.filter(characters=len(text), text=text).values_list("pk", flat=True).first()

    def _of_title(self, where: str, row: PersonaRow) -> int | None:
        said = {"corpus__name": row.corpus, "source__name": row.file, "key": row.key}
        narrowed = self._mine.filter(title=row.document, **{name: value for name, value in said.items() if value})
        found = list(narrowed.values_list("pk", flat=True)[:2])
        if len(found) == 1:
            return found[0]
        what = "more than one document has that title: name its “corpus” and “file” too" if found else "none is here"
        _note(self._import, Problem(where, f"It came without its document “{row.document}”: {what}."))
        return None
