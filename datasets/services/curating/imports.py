"""Conversations out of a file that somebody brings along: looked at first, then read by a worker."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.core.files import File
from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from datasets.formats.entries import Wrong
from datasets.formats.incoming import Glance, Unusable, glance, read_row
from datasets.formats.incoming_parts import Incoming
from datasets.formats.lines import Line, lines
from datasets.models import Batch, Conversation, Import, Judgement, Origin, Project, User, Version
from datasets.services.activity import record_activity
from datasets.services.collecting.corpora import clean_name
from datasets.services.curating.conversations import opening_of, take_ids, version_columns
from datasets.services.errors import Refused

State = Import.State
CHUNK = 200
CHUNK_BYTES = 4 * 2**20
"""A chunk ends with the line that goes past so many bytes, so that a few large rows do not fill the memory."""
QUIET = timedelta(seconds=30)
PROBLEMS_KEPT = 200


# -- asked for ----------------------------------------------------------------------------------------------------------


def store_import(*, project: Project, file: File, actor: User) -> Import:
    """Keep an uploaded file, to be looked at. Refused when no conversation is found in its first lines."""
    limit = settings.UPLOAD_MAX_BYTES
    if file.size > limit:
        raise Refused(f"The file is larger than {limit // 2**20} MB: split it and upload the parts.", field="file")
    try:
        seen = glance(cast(BinaryIO, file))
    except Unusable as error:
        raise Refused(str(error), field="file") from error
    file.seek(0)
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    row = Import(project=project, name=clean_name(file.name or ""), sha256=digest.hexdigest(), size=file.size,
                 shape=seen.shape, created_by=actor)  # fmt: skip
    row.file.save("conversations.jsonl", file, save=False)
    try:
        row.save()
    except BaseException:
        row.file.delete(save=False)
        raise
    return row


def shown(row: Import) -> Glance:
    """The first lines of a file that waits to be confirmed. Refused when the file is gone."""
    try:
        with Path(row.file.path).open("rb") as file:
            return glance(file)
    except (FileNotFoundError, Unusable) as error:
        raise Refused("The uploaded file is gone from the server: upload it again.") from error


def same_before(row: Import) -> Import | None:
    """The last import of the very same content that was begun, and not in vain."""
    others = row.project.imports.filter(sha256=row.sha256).exclude(Q(pk=row.pk) | Q(state=State.SHOWN))
    return others.exclude(state=State.FAILED, rows=0).first()


@transaction.atomic
def start_import(*, row: Import, actor: User, again: bool = True) -> Import:
    """Begin it; `advance` does it. Without `again`, Refused if the same content has been imported."""
    locked = Import.objects.select_for_update(of=("self",)).select_related("project").get(pk=row.pk)
    if locked.state != State.SHOWN:
        raise Refused("This import has been begun already.")
    # Who sends the same file a second time while the first is begun has to wait for it.
    Project.objects.select_for_update(no_key=True).get(pk=locked.project_id)
    before = same_before(locked)
    if before and not again:
        raise Refused(
            f"The same file was imported before, as import {before.pk}: say “again” to import it once more.",
            field="again",
        )
    locked.batch = Batch.objects.create(project=locked.project, kind=Batch.Kind.IMPORT, name=locked.name[:120])
    locked.state = State.RUNNING
    locked.save(update_fields=["batch", "state", "updated"])
    _record(locked, actor, f"imported conversations from {locked.name}")
    return locked


@transaction.atomic
def discard_import(*, row: Import) -> None:
    """A file that was uploaded and is not wanted. Refused once it is being read: its conversations are there."""
    locked = Import.objects.select_for_update().get(pk=row.pk)
    if locked.state != State.SHOWN:
        raise Refused("This import has been begun: its conversations can be rejected, not taken back.")
    _forget_file(locked)
    locked.delete()


def _record(row: Import, actor: User | None, text: str) -> None:
    record_activity(project=row.project, actor=actor, text=text, path=f"conversations/import/{row.pk}/")


def _forget_file(row: Import) -> None:
    path = Path(row.file.path)
    transaction.on_commit(lambda: path.unlink(missing_ok=True))


# -- done ---------------------------------------------------------------------------------------------------------------


def advance(*, import_id: int) -> bool:
    """Read the next chunk; True while there is more. Two that do it at once wait for each other.

    Each chunk is one transaction together with how far it comes, so that an early end costs one chunk, which is read
    again, and nothing comes in twice.
    """
    try:
        with transaction.atomic():
            return _advance(import_id)
    except DatabaseError:
        # One row that the database refuses must not hold up the others: find it by writing each of them by itself.
        with transaction.atomic():
            return _advance(import_id, one_by_one=True)


def left_lying() -> list[int]:
    """Imports that nobody has worked on for a while: whoever did was killed."""
    return list(
        Import.objects.filter(state=State.RUNNING, updated__lt=timezone.now() - QUIET).values_list("pk", flat=True)
    )


def _advance(import_id: int, *, one_by_one: bool = False) -> bool:
    row = Import.objects.select_for_update(of=("self",)).select_related("project", "batch").get(pk=import_id)
    if row.state != State.RUNNING:
        return False
    try:
        chunk = _next_chunk(row)
    except OSError as error:
        _end(row, State.FAILED, f"The uploaded file cannot be read any more ({error.strerror}): upload it again.")
        return False
    found = _understood(row, chunk)
    row.rows += _write_each(row, found) if one_by_one else _write(row, [incoming for _, incoming in found])
    if chunk:
        row.position, row.lines = chunk[-1].end, chunk[-1].number
        row.save()
        return True
    _end(row, State.DONE if row.rows else State.FAILED, "" if row.rows else "None of its lines is a conversation.")
    return False


def _end(row: Import, state: str, error: str) -> None:
    row.state, row.error = state, error
    row.save()
    _forget_file(row)


def _next_chunk(row: Import) -> list[Line]:
    with Path(row.file.path).open("rb") as file:
        file.seek(row.position)
        chunk: list[Line] = []
        for line in islice(lines(file, number=row.lines), CHUNK):
            chunk.append(line)
            if line.end - row.position > CHUNK_BYTES:
                break
        return chunk


def _understood(row: Import, chunk: Sequence[Line]) -> list[tuple[int, Incoming]]:
    found = []
    for line in chunk:
        try:
            if line.row is not None:
                found.append((line.number, read_row(line.row, row.shape)))
            elif line.problem:
                raise Wrong(line.problem)
        except Wrong as error:
            _note(row, line.number, str(error))
    return found


def _note(row: Import, line: int, sentence: str) -> None:
    row.problem_count += 1
    if len(row.problems) < PROBLEMS_KEPT:
        row.problems.append([line, sentence])


def _write_each(row: Import, found: Sequence[tuple[int, Incoming]]) -> int:
    written = 0
    for number, incoming in found:
        try:
            with transaction.atomic():
                written += _write(row, [incoming])
        except DatabaseError as error:
            _note(row, number, f"The database refuses it ({str(error).splitlines()[0][:200]}): shorten or mend it.")
    return written


@dataclass(frozen=True, slots=True)
class _Said:
    """A version to be of the conversation whose id it has."""

    conversation: int
    number: int
    incoming: Incoming
    version: int


def _write(row: Import, found: Sequence[Incoming]) -> int:
    """A conversation for each, with its versions and what was said of them; returns how many."""
    ids = take_ids(Conversation, len(found))
    parts = [(pk, number, part) for pk, one in zip(ids, found, strict=True) for number, part in _parts(one)]
    said = [_Said(*part, pk) for part, pk in zip(parts, take_ids(Version, len(parts)), strict=True)]
    heads = {one.conversation: one for one in said}
    Conversation.objects.bulk_create(_conversation(row, one) for one in heads.values())
    Version.objects.bulk_create(_version(row, one) for one in said)
    Judgement.objects.bulk_create(_judgement(one) for one in said if one.incoming.judged)
    return len(heads)


def _parts(incoming: Incoming) -> Iterable[tuple[int, Incoming]]:
    """Its versions with their numbers; the last one counts."""
    return enumerate((*incoming.others, incoming), 1)


def _conversation(row: Import, head: _Said) -> Conversation:
    dialog, judged = head.incoming.dialog, head.incoming.judged
    return Conversation(
        pk=head.conversation,
        head_id=head.version,
        project_id=row.project_id,
        batch=row.batch,
        opening=opening_of(dialog),
        turns=dialog.turns,
        score=judged.overall if judged else None,
    )


def _version(row: Import, one: _Said) -> Version:
    return Version(
        pk=one.version,
        conversation_id=one.conversation,
        number=one.number,
        label=one.incoming.label,
        origin=Origin.IMPORTED,
        author_id=row.created_by_id,
        **version_columns(one.incoming.dialog),
    )


def _judgement(one: _Said) -> Judgement:
    judged: Any = one.incoming.judged
    return Judgement(
        version_id=one.version,
        evaluator=judged.evaluator,
        overall=judged.overall,
        grade=judged.grade,
        scores=[score.model_dump(mode="json") for score in judged.scores],
    )
