"""Corpora and the files in them. Reading a file is a worker's job (`ingest`): these say what is to be read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import PurePath

from django.conf import settings
from django.core.files import File
from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction
from django.utils import timezone

from datasets.models import Corpus, Project, SourceFile, User
from datasets.models.corpora import SourceFileQuerySet
from datasets.services.activity import record_activity
from datasets.services.errors import Refused

Options = Mapping[str, str]
NAME_LENGTH = 255


# -- corpora --------------------------------------------------------------------------------------------------------


def create_corpus(
    *,
    project: Project,
    name: str,
    user: User | None,
    description: str = "",
    chunk_size: int = 1200,
    chunk_overlap: int = 150,
) -> Corpus:
    """Sizes in characters. Refuses a taken name, and an overlap of more than half a passage."""
    corpus = Corpus(project=project, name=name, description=description)
    return _save(corpus, chunk_size=chunk_size, chunk_overlap=chunk_overlap, user=user, verb="made")


def update_corpus(
    *,
    corpus: Corpus,
    name: str,
    description: str,
    chunk_size: int | None = None,
    chunk_overlap: int | None = None,
    user: User | None,
) -> bool:
    """Returns whether its files are to be read again, because they are now cut differently. None keeps a size."""
    before = (corpus.chunk_size, corpus.chunk_overlap)
    size = before[0] if chunk_size is None else chunk_size
    overlap = before[1] if chunk_overlap is None else chunk_overlap
    corpus.name, corpus.description = name, description
    with transaction.atomic():
        _save(corpus, chunk_size=size, chunk_overlap=overlap, user=user, verb="changed")
        return before != (size, overlap) and _living(corpus.files.all()).ask_reading() > 0


def _save(corpus: Corpus, *, chunk_size: int, chunk_overlap: int, user: User | None, verb: str) -> Corpus:
    if chunk_overlap * 2 > chunk_size:
        raise Refused(
            "Neighbouring passages may share at most half a passage: lower the overlap.", field="chunk_overlap"
        )
    corpus.chunk_size, corpus.chunk_overlap = chunk_size, chunk_overlap
    try:
        with transaction.atomic():
            corpus.save()
    except IntegrityError as error:
        raise Refused("Another corpus has that name: choose a different one.", field="name") from error
    _record(corpus, user, f"{verb} the corpus “{corpus.name}”")
    return corpus


@transaction.atomic
def reread_corpus(*, corpus: Corpus, user: User | None) -> int:
    """Have every file read and indexed again. Returns how many there are."""
    count = _living(corpus.files.all()).ask_reading()
    if count:
        _record(corpus, user, f"had the files of “{corpus.name}” read again")
    return count


@transaction.atomic
def delete_corpus(*, corpus: Corpus, user: User) -> None:
    """Gone for everybody at once; a worker clears away rows, stored files and vectors (`ingest.clear_corpus`)."""
    Corpus.objects.filter(pk=corpus.pk).update(deleted=timezone.now())
    corpus.files.ask_deleting()
    record_activity(project=corpus.project, actor=user, text=f"deleted the corpus “{corpus.name}”", path="corpora/")


def _record(corpus: Corpus, user: User | None, text: str) -> None:
    record_activity(project=corpus.project, actor=user, text=text, path=f"corpora/{corpus.pk}/")


# -- files ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """What became of one uploaded file: `source` is None when it was refused, and `refusal` says why."""

    name: str
    source: SourceFile | None = None
    changed: bool = False
    refusal: str = ""


def store_file(
    *, corpus: Corpus, name: str, file: File, user: User | None, options: Options | None = None, folder: str = ""
) -> tuple[SourceFile, bool]:
    """Keep an uploaded file under `name`, replacing one of that name. Returns it, and whether it is to be read.

    A file with the same content and options is left alone. `options=None` keeps those of the file that it replaces.
    Where it stood below a `folder`, it is named with it.
    """
    source, changed = _store(corpus, clean_path(folder, name), file, user, options)
    if changed:
        _record(corpus, user, f"added {source.name} to “{corpus.name}”")
    return source, changed


def store_files(
    *,
    corpus: Corpus,
    files: Sequence[File],
    user: User | None,
    options: Options | None = None,
    folders: Sequence[str] = (),
) -> list[Stored]:
    """Keep many files, under their own names. One that is refused does not keep the others out.

    `folders` are those that the files stood in, if they are known.
    """
    names = [
        clean_path(folder, file.name or "") for file, folder in zip(files, chain(folders, repeat("")), strict=False)
    ]
    results = [
        _twice(name) if name in names[:at] else _store_or_refuse(corpus, name, file, user, options)
        for at, (name, file) in enumerate(zip(names, files, strict=True))
    ]
    added = [result.name for result in results if result.changed]
    if added:
        what = added[0] if len(added) == 1 else f"{len(added)} files"
        _record(corpus, user, f"added {what} to “{corpus.name}”")
    return results


def paste_text(*, corpus: Corpus, title: str, text: str, user: User | None) -> tuple[SourceFile, bool]:
    """Keep a text as if it had been uploaded as a file of that title."""
    if not text.strip():
        raise Refused("Paste or write some text.", field="text")
    name = title if PurePath(title).suffix.lower() in {".txt", ".md"} else f"{title}.txt"
    return store_file(corpus=corpus, name=name, file=ContentFile(text.encode()), user=user, options={})


@transaction.atomic
def reread_file(*, source: SourceFile, user: User | None, options: Options | None = None) -> None:
    """Have a file read again, with other reading options if some are given."""
    changes = {} if options is None else {"options": dict(options)}
    if _living(SourceFile.objects.filter(pk=source.pk)).ask_reading(**changes):
        _record(source.corpus, user, f"had {source.name} of “{source.corpus.name}” read again")


@transaction.atomic
def delete_file(*, source: SourceFile, user: User | None) -> None:
    """A worker clears away its documents, vectors and stored content (`ingest.clear_file`)."""
    if source.corpus.adopted_id:
        raise Refused("The corpus is read from this collection: delete the corpus instead.")
    if _living(SourceFile.objects.filter(pk=source.pk)).ask_deleting():
        _record(source.corpus, user, f"deleted {source.name} from “{source.corpus.name}”")


def _living(files: SourceFileQuerySet) -> SourceFileQuerySet:
    return files.exclude(state=SourceFile.State.DELETING)


def _twice(name: str) -> Stored:
    return Stored(name, refusal="Two files of this name came at once, and the first was taken: rename the other one.")


def _store_or_refuse(corpus: Corpus, name: str, file: File, user: User | None, options: Options | None) -> Stored:
    try:
        return Stored(name, *_store(corpus, name, file, user, options))
    except Refused as refusal:
        return Stored(name, refusal=str(refusal))


def _store(
    corpus: Corpus, name: str, file: File, user: User | None, options: Options | None
) -> tuple[SourceFile, bool]:
    if corpus.adopted_id:
        raise Refused("This corpus is read from a collection: make another one for files.")
    limit = settings.UPLOAD_MAX_BYTES
    if file.size > limit:
        raise Refused(f"It is larger than {limit // 2**20} MB, the limit for one file: split it and upload the parts.")
    digest = _sha256(file)
    if (known := _unchanged(corpus, name, digest, options)) is not None:
        return known, False
    stored = SourceFile(corpus=corpus, name=name, sha256=digest, size=file.size, created_by=user)
    stored.file.save(name, file, save=False)
    try:
        return _replace(stored, options), True
    except BaseException:
        stored.file.delete(save=False)
        raise


def clean_name(name: str) -> str:
    """The last part of a path, without control characters, cut in front of its extension if it is too long."""
    plain = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", PurePath(name.replace("\\", "/")).name).split()) or "unnamed"
    suffix = PurePath(plain).suffix[-20:]
    return plain if len(plain) <= NAME_LENGTH else plain[: NAME_LENGTH - len(suffix)] + suffix


def clean_path(folder: str, name: str) -> str:
    """The name behind the folders that it stands in, as many of the innermost as fit."""
    parts = [clean_name(part) for part in folder.replace("\\", "/").split("/") if part.strip() not in ("", ".", "..")]
    parts.append(clean_name(name))
    while len(parts) > 1 and len("/".join(parts)) > NAME_LENGTH:
        del parts[0]
    return "/".join(parts)


def _sha256(file: File) -> str:
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def _unchanged(corpus: Corpus, name: str, digest: str, options: Options | None) -> SourceFile | None:
    # Before folders were kept, a file in one was known by its last name alone.
    last = PurePath(name).name
    found = {file.name: file for file in _living(corpus.files.filter(name__in=[name, last], sha256=digest))}
    known = found.get(name) or found.get(last)
    if known is not None and options is not None and known.options != dict(options):
        return None
    return known


@transaction.atomic
def _replace(stored: SourceFile, options: Options | None) -> SourceFile:
    """Locks the corpus first, so that two uploads of one name make one row, whose content is the later one's."""
    if not Corpus.objects.select_for_update(no_key=True).filter(pk=stored.corpus_id).exists():
        raise Refused("This corpus has been deleted meanwhile.")
    old = SourceFile.objects.filter(corpus=stored.corpus_id, name=stored.name).first()
    if old is None:
        stored.options = dict(options or {})
        stored.save()
        return stored
    chosen = old.options if options is None else dict(options)
    SourceFile.objects.filter(pk=old.pk).ask_reading(
        file=stored.file.name, sha256=stored.sha256, size=stored.size, options=chosen
    )
    transaction.on_commit(lambda: old.file.delete(save=False), robust=True)
    return SourceFile.objects.get(pk=old.pk)
