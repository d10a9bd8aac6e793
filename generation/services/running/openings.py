"""The first questions of a run: no two nearly alike, whatever the number of workers that write them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, connection, connections, transaction
from django.db.models import QuerySet

from datasets.text import clean
from generation.engine.errors import TransientError
from generation.engine.openings import Known, sketch
from generation.engine.protocols import Brief
from generation.models import Run, Slot

LOCKS = 0x0A17
"""Namespace of the advisory locks taken here."""

# Those that share a band with one of these: there are few, unless many are alike.
NEAR = """
    SELECT DISTINCT near.opening, near.sketch FROM unnest(%s::text[]) AS asked (sketch), LATERAL (
        SELECT opening, sketch FROM generation_slot
        WHERE run_id = %s AND sketch && asked.sketch::bigint[] LIMIT 50
    ) AS near
"""
GIVE = """
    UPDATE generation_slot AS slot SET opening = given.opening, sketch = given.sketch::bigint[]
    FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS given (id, opening, sketch) WHERE slot.id = given.id
"""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one dialog proposes, and where it waits for the answer."""

    brief: Brief
    proposed: Sequence[str]
    answer: asyncio.Future[str | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def leads(self) -> bool:
        """Whether the others of its batch wait for what it has left."""
        return self.brief.questions > 1


class RunOpenings:
    """Implements `generation.engine.protocols.Openings` for one run, in its rows. `Brief.slot` is the slot's key.

    What dialogs ask while others are being answered is answered together: one transaction for all of them.
    """

    def __init__(self, run: Run) -> None:
        self._run = run.pk
        self._waiting: list[_Asked] = []
        self._task: asyncio.Task[None] | None = None

    async def admit(self, brief: Brief, proposed: Sequence[str]) -> str | None:
        asked = _Asked(brief, [clean(text) for text in proposed])
        self._waiting.append(asked)
        if self._task is None:
            self._task = asyncio.create_task(self._answer_all())
        return await asked.answer

    async def _answer_all(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            answers = await self._answers(group)
            for asked, answer in zip(group, answers, strict=True):
                if asked.answer.done():  # cancelled meanwhile
                    continue
                if isinstance(answer, Exception):
                    asked.answer.set_exception(answer)
                else:
                    asked.answer.set_result(answer)
        self._task = None

    async def _answers(self, group: Sequence[_Asked]) -> Sequence[str | Exception | None]:
        try:
            return await sync_to_async(self._admit)(group)
        except (OperationalError, InterfaceError):
            await sync_to_async(connections.close_all)()
            return [TransientError("The database does not answer.") for _ in group]
        except Exception as error:
            return [error for _ in group]

    @transaction.atomic
    def _admit(self, group: Sequence[_Asked]) -> list[str | None]:
        # One at a time: two workers might otherwise write the same question in the same moment.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCKS, self._run])
        known = self._known([text for asked in group for text in asked.proposed])
        new = [[text for text in asked.proposed if known.takes(text)] for asked in group]
        given = {asked.brief.slot: texts[0] for asked, texts in zip(group, new, strict=True) if texts}
        rest = {asked.brief.slot: texts[1:] for asked, texts in zip(group, new, strict=True) if asked.leads and texts}
        self._give(given | self._handed_on(rest))
        return [given.get(asked.brief.slot) for asked in group]

    def _known(self, texts: Sequence[str]) -> Known:
        """Questions of the run that may be like one of these."""
        known = Known(self._run)
        with connection.cursor() as cursor:
            cursor.execute(NEAR, [[_literal(sketch(text, self._run)) for text in texts], self._run])
            for opening, numbers in cursor.fetchall():
                known.add(opening, numbers)
        return known

    def _handed_on(self, openings: Mapping[int, Sequence[str]]) -> dict[int, str]:
        """What the others of each leader's batch get; whom none is left for has one written by itself."""
        if not openings:
            return {}
        batches = Slot.objects.filter(pk__in=openings).values_list("batch", "pk")
        left = {batch: list(openings[leader]) for batch, leader in batches}
        given: dict[int, str] = {}
        alone: list[int] = []
        for pk, batch in waiting_of(self._run, *left).values_list("pk", "batch"):
            if left[batch]:
                given[pk] = left[batch].pop(0)
            else:
                alone.append(pk)
        Slot.objects.filter(pk__in=alone).update(leads=True)
        return given

    def _give(self, openings: Mapping[int, str]) -> None:
        sketches = [_literal(sketch(text, self._run)) for text in openings.values()]
        with connection.cursor() as cursor:
            cursor.execute(GIVE, [list(openings), list(openings.values()), sketches])


def _literal(numbers: Sequence[int]) -> str:
    """As PostgreSQL writes an array: it takes no list of lists of which each is a value of its own."""
    return f"{{{','.join(map(str, numbers))}}}"


def waiting_of(run_id: int, *batches: int) -> QuerySet[Slot]:
    """Slots of batches that wait for the questions that their leaders have written for them."""
    return Slot.objects.filter(run=run_id, batch__in=batches, leads=False, opening="").order_by("index")


def free_waiting(slot: Slot) -> None:
    """The leader of a batch has failed: those that waited for it have their questions written by themselves."""
    if slot.leads and not slot.opening:
        waiting_of(slot.run_id, slot.batch).update(leads=True)
