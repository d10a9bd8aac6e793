"""The first questions of a run: no two nearly alike, whatever the number of workers that write them."""

from __future__ import annotations

from collections.abc import Sequence

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, connection, connections, transaction
from django.db.models import QuerySet

from datasets.text import clean
from generation.engine.errors import TransientError
from generation.engine.openings import ALIKE, features, similarity, sketch
from generation.engine.protocols import Brief
from generation.models import Run, Slot

LOCKS = 0x0A17
"""Namespace of the advisory locks taken here."""


class RunOpenings:
    """Implements `generation.engine.protocols.Openings` for one run, in its rows. `Brief.slot` is the slot's key."""

    def __init__(self, run: Run) -> None:
        self._run = run.pk

    async def admit(self, brief: Brief, proposed: Sequence[str]) -> str | None:
        try:
            return await sync_to_async(self._admit)(brief, [clean(text) for text in proposed])
        except (OperationalError, InterfaceError) as error:
            await sync_to_async(connections.close_all)()
            raise TransientError("The database does not answer.") from error

    @transaction.atomic
    def _admit(self, brief: Brief, proposed: Sequence[str]) -> str | None:
        # One at a time: two workers might otherwise write the same question in the same moment.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCKS, self._run])
        new = self._new(proposed)
        if not new:
            return None
        self._give(brief.slot, new[0])
        if brief.questions > 1:
            self._hand_on(brief.slot, new[1:])
        return new[0]

    def _new(self, proposed: Sequence[str]) -> list[str]:
        new: list[str] = []
        for text in proposed:
            words = features(text)
            if not any(similarity(words, features(other)) >= ALIKE for other in [*new, *self._near(text)]):
                new.append(text)
        return new

    def _near(self, text: str) -> Sequence[str]:
        """Questions of the run that may be like `text`."""
        near = Slot.objects.filter(run=self._run, sketch__overlap=sketch(text, self._run))
        return list(near.values_list("opening", flat=True)[:50])

    def _give(self, slot: int, opening: str) -> None:
        Slot.objects.filter(pk=slot).update(opening=opening, sketch=sketch(opening, self._run))

    def _hand_on(self, leader: int, openings: Sequence[str]) -> None:
        """The others of the batch get the other questions; whom none is left for has one written by itself."""
        batch = Slot.objects.values_list("batch", flat=True).get(pk=leader)
        waiting = list(waiting_of(self._run, batch).values_list("pk", flat=True))
        for pk, opening in zip(waiting, openings, strict=False):
            self._give(pk, opening)
        Slot.objects.filter(pk__in=waiting[len(openings) :]).update(leads=True)


def waiting_of(run_id: int, batch: int) -> QuerySet[Slot]:
    """Slots of a batch that wait for the question that its leader has written for them."""
    return Slot.objects.filter(run=run_id, batch=batch, leads=False, opening="").order_by("index")


def free_waiting(slot: Slot) -> None:
    """The leader of a batch has failed: those that waited for it have their questions written by themselves."""
    if slot.leads and not slot.opening:
        waiting_of(slot.run_id, slot.batch).update(leads=True)
