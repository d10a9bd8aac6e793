"""A file becomes documents, passages and points of the index; or, deleted, it takes them all with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from datasets.index import IndexFault, PassageIndex, connect
from datasets.models import Corpus, SourceFile
from datasets.reading import Problem, ReadOptions, Text, Unreadable, peek_columns, read
from datasets.services.collecting.claims import ATTEMPTS, Overtaken, State, claim, end, lease_kept, mine
from datasets.services.collecting.clearing import clear_documents, clear_file
from datasets.services.collecting.copying import copied
from datasets.services.collecting.intake import EmbeddingFault, IndexedIntake, Intake

logger = logging.getLogger(__name__)

REST = timedelta(seconds=20)
"""How long a file rests after its first failed attempt, and as much longer after each further one."""
OPTIONS = ("column", "content_key", "title_key", "id_key")


def ingest(file_id: int) -> None:
    """Read, cut and index a file, or clear it away if it is deleted.

    Does nothing if somebody else is at it or nothing is to be done. May be called any number of times and killed at any
    point: the next call begins again and ends with the same rows and points. Faults end up in the file's row.
    """
    source = claim(file_id)
    if source is None:
        return
    with lease_kept(source):
        try:
            clear_file(source) if source.state == State.DELETING else _read(source)
        except Overtaken:
            logger.info("File %s was changed while it was read.", file_id)
        except Exception as error:
            logger.exception("File %s could not be ingested.", file_id)
            _try_later(source, error)


def _read(source: SourceFile) -> None:
    adopted = source.corpus.adopted
    contents = copied(adopted) if adopted else _contents(source)
    with closing(contents), Intake(source) if adopted else IndexedIntake(source) as intake:
        try:
            for found in contents:
                intake.note(found) if isinstance(found, Problem) else intake.take(found)
        except Unreadable as error:
            _refuse(source, str(error), begun=intake.documents > 0)
        else:
            intake.finish()


def _contents(source: SourceFile) -> Generator[Text | Problem]:
    path = Path(source.file.path)
    if not path.exists():
        raise Unreadable("The stored content of this file is gone: upload it again.")
    source.columns = peek_columns(path, source.name) if source.option else []
    options = {name: source.options[name] for name in OPTIONS if source.options.get(name)}
    yield from read(path, source.name, ReadOptions(**options, keep_others="drop_others" not in source.options))


def _refuse(source: SourceFile, sentence: str, *, begun: bool) -> None:
    """A file that cannot be used leaves alone what its earlier version brought, unless it has begun to replace it."""
    if begun:
        clear_documents(source)
    kept = " What was read from its earlier version is kept." if source.documents.exists() else ""
    end(source, State.FAILED, error=sentence + kept)


def _try_later(source: SourceFile, error: Exception) -> None:
    known = isinstance(error, IndexFault | EmbeddingFault)
    sentence = str(error) if known else f"Reading stopped ({type(error).__name__}: {error})."
    if source.state != State.DELETING and source.attempts >= ATTEMPTS:
        end(
            source,
            State.FAILED,
            error=f"{sentence} That was the third attempt: when it is mended, read the file again.",
        )
        return
    state = State.WAITING if source.state == State.READING else source.state
    until = timezone.now() + REST * min(source.attempts, ATTEMPTS)
    mine(source).update(state=state, error=sentence, lease_until=until, updated=timezone.now())


def clear_corpus(corpus_id: int) -> None:
    """Clear away a deleted corpus: its files with all that came from them, its collection and its row.

    If one of its files is held by somebody at the moment, the row stays for a later call.
    """
    corpus = Corpus.with_deleted.filter(pk=corpus_id).exclude(deleted=None).first()
    if corpus is None:
        return
    for file_id in corpus.files.values_list("pk", flat=True):
        ingest(file_id)
    if not corpus.files.exists():
        if corpus.adopted is None:  # somebody else's collection is theirs
            asyncio.run(_drop_collection(corpus))
        corpus.delete()


async def _drop_collection(corpus: Corpus) -> None:
    async with connect(settings.QDRANT_URL, settings.QDRANT_API_KEY) as client:
        await PassageIndex(client, corpus.collection).drop()
