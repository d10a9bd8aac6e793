"""Who reads a file, and for how long.

`SourceFile.revision` is the fence. A reader raises it when it begins, and every write, to the database and to the index,
is made while holding the file's row under that very number. So a reader that was overtaken (by another upload, other
settings, a deletion, or a second reader after its lease ran out) writes nothing more, and whatever a killed reader left
bears an older number and is deleted by the next one when it has finished.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from datasets.models import SourceFile
from datasets.models.corpora import SourceFileQuerySet

State = SourceFile.State
LEASE = timedelta(seconds=60)
RENEWAL = 15.0
"""Seconds between renewals of the lease, by a thread: reading a large PDF takes longer than a lease lasts."""
ATTEMPTS = 3
WORN_OUT = (
    "The reader broke down three times while it read this file, perhaps for want of memory: "
    "split the file, or read it again when the server is less busy."
)


class Overtaken(Exception):
    """The file has changed, is deleted or is read by somebody else: this reader is to stop."""


@transaction.atomic
def claim(file_id: int) -> SourceFile | None:
    """The file, now held by the caller; None if it is not open or somebody else holds it."""
    free = SourceFile.objects.free(timezone.now()).filter(pk=file_id)
    source = free.select_for_update(no_key=True, skip_locked=True).first()
    if source is None:
        return None
    source.revision += 1
    source.attempts += 1
    source.lease_until = timezone.now() + LEASE
    if source.state == State.WAITING:
        source.state, source.progress = State.READING, 0
    source.save()
    if source.attempts > ATTEMPTS and source.state == State.READING:
        end(source, State.FAILED, error=source.error or WORN_OUT)
        return None
    return source


def mine(source: SourceFile) -> SourceFileQuerySet:
    return SourceFile.objects.filter(pk=source.pk, revision=source.revision, state=source.state)


@contextmanager
def holding(source: SourceFile) -> Iterator[None]:
    """A transaction in which nobody can overtake this reader. Raises Overtaken if somebody has."""
    with transaction.atomic():
        if mine(source).select_for_update(no_key=True).values_list("pk").first() is None:
            raise Overtaken
        yield


@contextmanager
def lease_kept(source: SourceFile) -> Iterator[None]:
    """Renews the lease from another thread while the block runs. If that fails the lease runs out, which does no harm."""
    over = threading.Event()

    def renew() -> None:
        try:
            while not over.wait(RENEWAL):
                mine(source).update(lease_until=timezone.now() + LEASE)
        finally:
            connection.close()

    thread = threading.Thread(target=renew, name=f"lease-of-file-{source.pk}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def end(source: SourceFile, state: str, **changes: object) -> None:
    """Let the file go for good, with how many rows it has, its columns and what was left out of it."""
    passages = source.documents.aggregate(total=Sum("passage_count"))["total"]
    mine(source).update(
        state=state,
        document_count=source.documents.count(),
        passage_count=passages or 0,
        columns=source.columns,
        problems=source.problems,
        problem_count=source.problem_count,
        lease_until=None,
        attempts=0,
        updated=timezone.now(),
        **changes,
    )
