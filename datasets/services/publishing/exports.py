"""Files of training rows, written by a worker from what a filter matches."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from pydantic import ValidationError

from datasets.filters import ConversationFilter
from datasets.formats import FORMATS, Judged, Options, Skip, encode, metadata
from datasets.formats.splitting import Inseparable, Split
from datasets.models import Conversation, Export, Project, User
from datasets.models.artifacts import Lost
from datasets.models.conversations import ConversationQuerySet
from datasets.preference import rated, with_pairs, with_versions
from datasets.schema import Score
from datasets.services.activity import record_activity
from datasets.services.curating.bulk import newest_id
from datasets.services.curating.relations import ties_of
from datasets.services.errors import Refused
from datasets.services.publishing.splitting import Places, write_archive

CHUNK = 200
PREVIEWED = 20
"""How many conversations are tried for one that the format can hold, for the example on the form."""
INSEPARABLE = "All these rows are related, so none can be for validation alone: choose a narrower relation to keep together, or none."


@transaction.atomic
def start_export(
    *,
    project: Project,
    actor: User | None,
    filter: ConversationFilter,
    format: str,
    options: Options,
    split: Split | None = None,
) -> Export:
    """Ask for a file of what matches now; `write_export` writes it. Raises Refused when nothing matches.

    With `split` it is an archive of a file for training and one for validation.
    """
    if format not in FORMATS:
        raise Refused("There is no such format: choose one of the list.", field="format")
    up_to = newest_id(project)
    rows = count_rows(project=project, filter=filter, format=format, options=options, up_to=up_to)
    if not rows and FORMATS[format].compares:
        raise Refused(
            "No conversation that matches has two answers scored that far apart: widen the choice or the gap."
        )
    if not rows:
        raise Refused("Nothing matches, so there is nothing to write: widen the choice.")
    if split and rows < 2:
        raise Refused("One row cannot be on both sides of a split: widen the choice, or leave the split out.")
    export = Export.objects.create(
        project=project, created_by=actor, format=format, filter=filter.parameters, options=asdict(options), rows=rows,
        split=asdict(split) if split else None, up_to=up_to,
    )  # fmt: skip
    text = f"exported {rows} conversations as {FORMATS[format].label}"
    record_activity(project=project, actor=actor, text=text, path=f"exports/{export.pk}/")
    return export


@transaction.atomic
def delete_export(*, export: Export, actor: User) -> None:
    """The row and its file. A worker that is writing it finds out at its next chunk, and clears up."""
    record_activity(project=export.project, actor=actor, text=f"deleted the export {export.pk}", path="exports/")
    name = export.file.name
    export.delete()
    if name:
        transaction.on_commit(lambda: Path(settings.MEDIA_ROOT, name).unlink(missing_ok=True))


def count_rows(
    *, project: Project, filter: ConversationFilter, format: str, options: Options, up_to: int | None = None
) -> int:
    """How many rows there will be, but for those that the format finds it cannot hold."""
    rows = project.conversations.all() if up_to is None else project.conversations.filter(pk__lte=up_to)
    return filter.count(_written(rows, project, format, options))


def _written(
    rows: ConversationQuerySet, project: Project, format: str, options: Options, ids: Sequence[int] | None = None
) -> ConversationQuerySet:
    """Those of `rows` that there is something to write of: for formats that compare, those that have a pair."""
    return with_pairs(rows, project, options.min_gap, among=ids) if FORMATS[format].compares else rows


def preview(*, project: Project, filter: ConversationFilter, format: str, options: Options) -> dict[str, Any] | None:
    """A real row: the first of what matches that the format can hold."""
    rows = filter.apply(_written(project.conversations.all(), project, format, options))
    rows = _readable(rows, format, options)
    for conversation in rows.order_by("pk")[:PREVIEWED]:
        row = row_of(conversation, format, options)
        if not isinstance(row, Skip):
            return row
    return None


def row_of(conversation: Conversation, format: str, options: Options) -> dict[str, Any] | Skip:
    """What a line of the file says. A row's own metadata is added to, not replaced."""
    shape = FORMATS[format]
    try:
        dialog = conversation.head.dialog if options.metadata or shape.reads_trace else conversation.head.spoken
        row = shape.compare(rated(conversation), options) if shape.compare else shape.row(dialog, options)
    except ValidationError:
        return Skip("Its stored messages cannot be read.")
    if isinstance(row, Skip):
        return row
    if shape.cast and conversation.persona:
        row = shape.cast(row, conversation.persona.name, conversation.persona.depth)
    if shape.judgement and (judged := _judged(conversation)):
        row |= shape.judgement(dialog, judged)
    if options.metadata:
        own = row.get("metadata")
        row["metadata"] = metadata(dialog, _facts(conversation)) | (own if isinstance(own, dict) else {})
    return row


def _judged(conversation: Conversation) -> Judged | None:
    """What was last said of the head."""
    spoken = [judgement for judgement in conversation.head.judgements.all() if not judgement.error]
    if not spoken:
        return None
    last = spoken[-1]
    scores = tuple(Score.model_validate(score) for score in last.scores)
    return Judged(last.evaluator, last.overall, last.grade, scores)


def _facts(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": conversation.pk,
        "version": conversation.head.number,
        "run": conversation.batch.name,
        "persona": conversation.persona.name if conversation.persona else None,
        "persona_depth": conversation.persona.depth if conversation.persona else None,
        "status": conversation.status,
        "labels": [label.name for label in conversation.labels.all()],
        "score": conversation.score,
        "offline": conversation.offline,
    }


def _readable(rows: ConversationQuerySet, format: str, options: Options) -> ConversationQuerySet:
    """With what `row_of` reads, and no more: a trace is many times as long as what was said."""
    shape = FORMATS[format]
    rows = rows.with_head()
    if shape.cast:
        rows = rows.select_related("persona")
    if shape.judgement:
        rows = rows.prefetch_related("head__judgements")
    if shape.compare:
        rows = with_versions(rows)
    if options.metadata:
        return rows.select_related("head", "batch", "persona").prefetch_related("labels")
    return rows if shape.reads_trace else rows.defer("head__search", "head__trace")


# -- writing ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Tally:
    """What has been written so far."""

    rows: int = 0
    held: int = 0
    size: int = 0
    offline: bool = False
    sha256: str = ""
    skips: Counter[str] = field(default_factory=Counter)

    def add(self, size: int, conversation: Conversation) -> None:
        """One more row, of so many bytes."""
        self.rows, self.size = self.rows + 1, self.size + size
        self.offline = self.offline or conversation.offline

    def columns(self) -> dict[str, Any]:
        skips = dict(self.skips)
        return {"rows_written": self.rows, "rows_held": self.held, "size": self.size, "offline": self.offline} | {
            "skips": skips, "skipped": sum(skips.values())
        }  # fmt: skip


def write_export(*, export_id: int) -> None:
    """Write the file, unless another worker does. It appears under its name only when it is whole."""
    export = Export.objects.claim(export_id)
    if export is None:
        return
    folder = Path(settings.MEDIA_ROOT, "exports")
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder, export.pk)
    draft = folder / f".{export.pk}-{export.attempts}.part"
    with suppress(Lost):
        try:
            split = Split(**export.split) if export.split else None
            tally = _write_split(export, draft, split) if split else _write_rows(export, draft)
            _publish(export, draft, folder, tally)
        except Inseparable:
            _fail(export, INSEPARABLE)
        except OSError as error:
            words = error.strerror or str(error)
            _fail(export, f"The server could not write the file ({words}): free some space and export again.")
    draft.unlink(missing_ok=True)


def _sweep(folder: Path, pk: int) -> None:
    """Drafts of attempts that were killed."""
    for draft in folder.glob(f".{pk}-*.part"):
        draft.unlink(missing_ok=True)


def _write_rows(export: Export, draft: Path, places: Places | None = None) -> Tally:
    """`places`, if any, are told where each row ends and what it is related to."""
    tally, options, digest = Tally(), Options(**export.options), hashlib.sha256()
    with draft.open("wb") as sink:
        for chunk in _chunks(export, options):
            ties = ties_of([one.pk for one in chunk], places.together) if places else {}
            for conversation in chunk:
                row = row_of(conversation, export.format, options)
                if isinstance(row, Skip):
                    tally.skips[row.reason] += 1
                    continue
                line = encode(row)
                sink.write(line)
                digest.update(line)
                tally.add(len(line), conversation)
                if places:
                    places.add(tally.size, ties[conversation.pk])
            export.keep(**tally.columns())
    tally.sha256 = digest.hexdigest()
    return tally


def _write_split(export: Export, draft: Path, split: Split) -> Tally:
    """The rows are written to a file of their own first: only then is it known which of them are related."""
    rows, places = draft.with_name(f"{draft.stem}-rows{draft.suffix}"), Places(split.together)
    try:
        tally = _write_rows(export, rows, places)
        if tally.rows:
            title = f"{export.project.name}: {FORMATS[export.format].label}"
            made = write_archive(rows=rows, places=places, split=split, target=draft, title=title, alive=export.keep)
            tally.held, tally.size, tally.sha256 = made.validation, made.size, made.sha256
        return tally
    finally:
        rows.unlink(missing_ok=True)


def _chunks(export: Export, options: Options) -> Iterator[list[Conversation]]:
    """Oldest first. Only one chunk is in memory."""
    rows = export.project.conversations.filter(pk__lte=export.up_to)
    found = ConversationFilter.read(export.filter).apply(rows).order_by("pk").values_list("pk", flat=True)
    last = 0
    while ids := list(found.filter(pk__gt=last)[:CHUNK]):
        chunk = _written(export.project.conversations.filter(pk__in=ids), export.project, export.format, options, ids)
        yield list(_readable(chunk, export.format, options).order_by("pk"))
        last = ids[-1]


def _publish(export: Export, draft: Path, folder: Path, tally: Tally) -> None:
    if not tally.rows:
        _fail(export, "The format could hold none of these conversations.", **tally.columns())
        return
    export.offline = tally.offline
    final = folder / export.file_name
    with transaction.atomic():  # nobody deletes the row between the file's appearing and the row's saying so
        export.end(Export.State.READY, file=f"exports/{final.name}", sha256=tally.sha256, **tally.columns())
        os.replace(draft, final)


def _fail(export: Export, sentence: str, **columns: Any) -> None:
    export.end(Export.State.FAILED, error=sentence, **columns)
