"""Finished conversations go to the sinks of a recipe: each at least once, however often workers are killed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import connection
from django.db.models import QuerySet

from datasets.pulse import board
from generation import extensions
from generation.engine.errors import FatalError
from generation.engine.protocols import Kept, Sink
from generation.engine.recipe import Recipe
from generation.models import Run, Slot

log = logging.getLogger(__name__)

SLICE = 50.0
"""Seconds after which other work has its turn."""
CHUNK = 100
TOLD = 60
"""Seconds for which a sink's refusal is shown, unless it comes again."""
LOCKS = 0x0A18
"""Namespace of the advisory locks taken here."""


def runs_waiting() -> list[int]:
    """Runs with conversations that their sinks do not have yet."""
    return list(Slot.objects.filter(delivered=False).order_by().values_list("run_id", flat=True).distinct())


def _key(run_id: int) -> str:
    return f"run:{run_id}:sink"


def trouble_of(run_id: int) -> str:
    """Why conversations of the run still wait for their sinks, as they last said; empty when they do not."""
    said = board().get(_key(run_id))
    if not isinstance(said, bytes) or not Slot.objects.filter(run=run_id, delivered=False).exists():
        return ""
    return said.decode()


def deliver(*, run_id: int) -> None:
    """Hand over what is waiting, a chunk at a time. What a sink refuses is told on the run's page and comes again."""
    run = Run.objects.filter(pk=run_id).first()
    with _alone(run_id) as alone:
        if run is None or not alone:
            return
        try:
            _deliver(run, _sinks(run))
        except (FatalError, SinkRefused) as error:
            board().set(_key(run.pk), str(error), ex=TOLD)


class SinkRefused(Exception):
    """A sink raised; the message says which, and what."""


def _sinks(run: Run) -> list[tuple[str, Sink]]:
    chosen = Recipe.model_validate(run.spec).sinks
    return [(one.name, extensions.build("sinks", one.name, **one.options)) for one in chosen]


def _deliver(run: Run, sinks: Sequence[tuple[str, Sink]]) -> None:
    ends = time.monotonic() + SLICE
    with asyncio.Runner() as runner:
        while (slots := list(_waiting(run))) and time.monotonic() < ends:
            kept = [_kept(run, slot) for slot in slots if slot.conversation]
            for name, sink in sinks:
                runner.run(_hand_over(name, sink, kept))
            Slot.objects.filter(pk__in=[slot.pk for slot in slots]).update(delivered=True)


def _waiting(run: Run) -> QuerySet[Slot]:
    waiting = Slot.objects.filter(run=run, delivered=False).order_by("pk")
    return waiting.select_related("conversation__head").defer("conversation__head__search")[:CHUNK]


async def _hand_over(name: str, sink: Sink, kept: Sequence[Kept]) -> None:
    try:
        await sink.keep(kept)
    except Exception as error:  # whatever somebody else's code raises
        log.exception("The sink %s refused %s conversations", name, len(kept))
        what = f"The sink “{name}” did not take {len(kept)} conversations: {type(error).__name__}: {error}"
        raise SinkRefused(what) from error


def _kept(run: Run, slot: Slot) -> Kept:
    conversation = slot.conversation
    assert conversation is not None
    return Kept(f"{run.pk}/{slot.index}", conversation.head.dialog, conversation.score)


@contextmanager
def _alone(run_id: int) -> Iterator[bool]:
    """Whether nobody else delivers for the run just now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCKS, run_id])
        (alone,) = cursor.fetchone()
        try:
            yield alone
        finally:
            if alone:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCKS, run_id])
