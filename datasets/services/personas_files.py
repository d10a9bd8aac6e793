"""Personas out of a project and into one, as JSONL or YAML."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import transaction

from datasets.formats.personas import Entry, PersonaRow, Problem, Unreadable, read
from datasets.models import Document, Persona, PersonaVersion, Project, User
from datasets.models.personas import PersonaQuerySet

from .activity import record_activity
from .errors import Refused
from .personas import save_persona
from .personas_added import Draft, add_personas

MOST = 20_000
"""Personas that one file may bring: they are written within the request."""
PROBLEMS_SHOWN = 50
FROM_DESCRIPTION = 60
"""Characters of a name that is made of a description."""
SLICE = 2_000


# -- out ----------------------------------------------------------------------------------------------------------------


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


# -- in -----------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Imported:
    """What a file brought. `problems` are the first of `problem_count`: places and sentences."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0

    def note(self, problem: Problem) -> None:
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_SHOWN:
            self.problems.append(problem)


@transaction.atomic
def import_personas(
    *, project: Project, text: str, author: User, is_yaml: bool | None = None, review: bool = False
) -> Imported:
    """Bring in every readable persona of a file; with `review`, each new one waits to be accepted.

    One of a name that the project has becomes a new version of it if it says something else. Raises Refused when the
    whole cannot be read.
    """
    try:
        items = list(read(text, is_yaml=is_yaml))
    except Unreadable as error:
        raise Refused(str(error), field="text") from error
    if sum(len(item.rows) for item in items if isinstance(item, Entry)) > MOST:
        raise Refused(f"More than {MOST:,} personas at once are too many: bring them in several files.", field="text")
    result = Imported()
    entries = [item for item in items if isinstance(item, Entry)]
    for item in items:
        if isinstance(item, Problem):
            result.note(item)
    _Import(project, author, result, review).take(entries)
    if result.added or result.changed:
        brought = f"imported personas: {result.added} new, {result.changed} changed"
        record_activity(project=project, actor=author, text=brought, path="personas/")
    return result


@dataclass(slots=True)
class _Import:
    """One file on its way into a project."""

    project: Project
    author: User
    result: Imported
    review: bool

    def take(self, entries: Sequence[Entry]) -> None:
        named = self._without_doubles(entries)
        known = self._known([row.name for _, row, _ in named if row.name])
        said = self._said([row.description for _, row, _ in named if not row.name])
        documents = _Documents(self.project, self.result)
        fresh: list[tuple[str, PersonaRow, Draft]] = []
        for where, row, text in named:
            if persona := known.get(row.name):
                self._update(persona, row)
            elif not row.name and row.description in said:
                self.result.unchanged += 1
            else:
                fresh.append((where, row, self._draft(row, documents.find(where, row, text))))
        self._add(fresh)

    def _without_doubles(self, entries: Sequence[Entry]) -> list[tuple[str, PersonaRow, str]]:
        seen: dict[str, str] = {}
        named = []
        for entry in entries:
            for row in entry.rows:
                if first := seen.get(row.name):
                    sentence = f"“{row.name}” stands at {first} already: give each persona a name of its own."
                    self.result.note(Problem(entry.where, sentence))
                    continue
                if row.name:
                    seen[row.name] = entry.where
                named.append((entry.where, row, entry.text))
        return named

    def _known(self, names: Sequence[str]) -> dict[str, Persona]:
        found = self.project.personas.select_related("current").filter(name__in=names)
        return {persona.name: persona for persona in found}

    def _said(self, descriptions: Sequence[str]) -> set[str]:
        versions = PersonaVersion.objects.filter(persona__project=self.project, description__in=descriptions)
        return set(versions.values_list("description", flat=True))

    def _update(self, persona: Persona, row: PersonaRow) -> None:
        before = persona.current.number
        texts = {name: getattr(row, name) for name in ("description", "features", "system_prompt")}
        saved = save_persona(project=self.project, persona=persona, name=row.name, author=self.author, **texts)
        if saved.current.number == before:
            self.result.unchanged += 1
        else:
            self.result.changed += 1

    def _draft(self, row: PersonaRow, document: int | None) -> Draft:
        return Draft(
            name=row.name or _name_from(row.description),
            description=row.description,
            features=row.features,
            system_prompt=row.system_prompt,
            document=document,
            depth=row.depth,
            proposed=row.proposed or self.review,
            archived=row.archived,
            model=row.model,
        )

    def _add(self, fresh: Sequence[tuple[str, PersonaRow, Draft]]) -> None:
        drafts = [draft for _, _, draft in fresh]
        added = add_personas(project=self.project, drafts=drafts, author=self.author)
        self.result.added = len(added)
        below = [(where, persona, row) for (where, row, _), persona in zip(fresh, added, strict=True) if row.parent]
        parents = {row.parent for _, _, row in below}
        known = {persona.name: persona for persona in self.project.personas.filter(name__in=parents)}
        for where, persona, row in below:
            persona.parent = self._parent(where, row, known)
        Persona.objects.bulk_update([persona for _, persona, _ in below], ["parent"], batch_size=SLICE)

    def _parent(self, where: str, row: PersonaRow, known: Mapping[str, Persona]) -> Persona | None:
        """One that stands nearer to the text, so that nobody descends from themselves."""
        parent = known.get(row.parent)
        if parent and parent.depth < row.depth:
            return parent
        what = "does not stand in a layer above it" if parent else "is neither in the file nor in the project"
        self.result.note(Problem(where, f"It came without its parent: “{row.parent}” {what}."))
        return None


def _name_from(description: str) -> str:
    line = " ".join(description.split())
    return line if len(line) <= FROM_DESCRIPTION else line[:FROM_DESCRIPTION].rpartition(" ")[0] + "…"


class _Documents:
    """The project's documents, by what rows say of them."""

    def __init__(self, project: Project, result: Imported) -> None:
        self._mine = Document.objects.filter(corpus__in=project.corpora.all())
        self._result = result
        self._found: dict[tuple[str, ...], int | None] = {}

    def find(self, where: str, row: PersonaRow, text: str) -> int | None:
        """The primary key of the one document that is meant. None, and a note, when there is no such or no only one."""
        if text:
            return self._once((text,), lambda: self._of_text(text))
        if not row.document:
            return None
        return self._once((row.document, row.corpus, row.file, row.key), lambda: self._of_title(where, row))

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
        self._result.note(Problem(where, f"It came without its document “{row.document}”: {what}."))
        return None
