"""One worker process at work on one growth, for a slice of time: a few branches in flight, each landed as it ends."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, connections
from redis import RedisError

from datasets.models import Document
from datasets.pulse import board
from generation.adapters.speaking import Switchboard
from generation.engine.calls import Calls
from generation.engine.dialog import failure
from generation.engine.errors import FatalError
from generation.engine.personas import PersonaWriter, excerpt_of
from generation.engine.protocols import PersonaSketch
from generation.engine.providers import ClientPool, RetryPolicy
from generation.engine.recipe import ModelChoice
from generation.models import Endpoint, PersonaBranch, PersonaGrowth
from generation.secrets import Undecryptable

from . import persona_claims, persona_growths, pullers
from .claims import LEASE
from .persona_landing import Ended, land

log = logging.getLogger(__name__)
Result = TypeVar("Result")

SLICE = 15.0
"""Seconds for which branches are begun; then other work of the queue has its turn."""
LOOK = 1.0
"""Seconds between two looks at whether to go on, at the most."""
FRESH = 6
"""Seconds for which a worker counts as being at a growth after its last sign."""
TEMPERATURE = 0.9
PATIENT = RetryPolicy(tries=6, patience=45)
"""What waits longer is given back, and begun again later."""


def grow(*, growth_id: int) -> bool:
    """Work for a slice. Whether there is something left to begin, which whoever called sees to."""
    growth = PersonaGrowth.objects.filter(pk=growth_id, state=PersonaGrowth.State.RUNNING).first()
    sign = _Sign(growth_id)
    if growth is None or not persona_growths.has_work(growth_id) or not sign.take():
        return False
    try:
        asyncio.run(_Worker(growth, sign).run())
    except (OperationalError, InterfaceError, RedisError):
        raise  # it comes back by itself, and with it the next tick
    except (Undecryptable, FatalError) as error:
        persona_growths.fail_growth(growth=growth, reason=str(error))
    except Exception as error:
        log.exception("Growth %s could not be worked on.", growth_id)
        reason = f"The work on these personas broke off ({type(error).__name__}: {error})."
        persona_growths.fail_growth(growth=growth, reason=reason)
    finally:
        sign.leave()
    return persona_growths.has_work(growth_id)


def is_attended(growth_id: int) -> bool:
    """Whether a worker is at it now."""
    return bool(board().exists(_key(growth_id)))


def trouble_of(growth_id: int) -> str:
    """What a worker has just been refused and tries again; empty when all goes well."""
    try:
        said = board().get(_trouble_key(growth_id))
    except RedisError:
        return ""
    return said.decode() if isinstance(said, bytes) else ""


def _key(growth_id: int) -> str:
    return f"growth:{growth_id}:worker"


def _trouble_key(growth_id: int) -> str:
    return f"growth:{growth_id}:trouble"


class _Sign:
    """Says on the shared board that somebody is at a growth. Losing it costs nothing: claims are rows."""

    def __init__(self, growth_id: int) -> None:
        self._growth = growth_id
        self._name = uuid.uuid4().hex
        self.trouble = ""

    def take(self) -> bool:
        return bool(board().set(_key(self._growth), self._name, nx=True, ex=FRESH))

    def renew(self) -> None:
        board().set(_key(self._growth), self._name, ex=FRESH)
        if self.trouble:
            board().set(_trouble_key(self._growth), self.trouble, ex=2 * FRESH)
            self.trouble = ""

    def leave(self) -> None:
        try:
            board().delete(_key(self._growth))
        except RedisError:
            log.warning("The sign of growth %s stays until it is stale.", self._growth)


class _Worker:
    """Keeps branches in flight until its time is over, nothing is left to claim, or the growth no longer runs."""

    def __init__(self, growth: PersonaGrowth, sign: _Sign) -> None:
        self._growth = growth
        self._sign = sign
        self._held: dict[asyncio.Task[None], PersonaBranch] = {}
        self._ends = time.monotonic() + SLICE
        self._renewed = time.monotonic()

    async def run(self) -> None:
        try:
            async with ClientPool() as pool:
                writer = await sync_to_async(self._writer)(pool)
                await self._work(writer)
        finally:
            await sync_to_async(connections.close_all)()

    def _writer(self, pool: ClientPool) -> PersonaWriter:
        endpoints = Endpoint.objects.filter(pk=self._growth.endpoint_id or 0).prefetch_related("keys")
        switchboard = Switchboard(endpoints, pool, self._growth.concurrency)
        switchboard.hear = self._hear
        choice = ModelChoice(endpoint=self._growth.endpoint_id or 0, model=self._growth.model, temperature=TEMPERATURE)
        return PersonaWriter(switchboard.speaker(choice, PATIENT))

    def _hear(self, trouble: str) -> None:
        self._sign.trouble = trouble

    async def _work(self, writer: PersonaWriter) -> None:
        try:
            while await self._in_thread(self._goes_on):
                if time.monotonic() < self._ends:
                    self._begin(writer, await self._in_thread(self._claim))
                if not self._held:
                    return
                done, _ = await asyncio.wait(self._held, timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    del self._held[task]
                    task.result()  # what could not be landed ends this worker; others or the next tick go on
        finally:
            await self._drop()

    def _begin(self, writer: PersonaWriter, branches: list[PersonaBranch]) -> None:
        for branch in branches:
            self._held[asyncio.create_task(self._make(writer, branch))] = branch

    async def _make(self, writer: PersonaWriter, branch: PersonaBranch) -> None:
        """One step. What goes wrong with it is landed as well."""
        # Another attempt asks under other seeds: the same ones would bring the same reply.
        calls = Calls(branch.pk * 31 + branch.attempts)
        try:
            if branch.persona is None:
                text = await self._in_thread(_text_of, branch)
                sketches = await writer.from_text(branch.document.title, text, calls)
            else:
                sketches = await writer.from_persona(_sketch(branch), calls)
        except Exception as error:
            failed = failure(error)
            ended = Ended(branch, error=failed.error, kind=failed.kind, steps=calls.trace.steps)
        else:
            ended = Ended(branch, sketches, steps=calls.trace.steps)
        await self._in_thread(land, ended)

    async def _drop(self) -> None:
        """Cancel what is still in flight and give it back."""
        for task in self._held:
            task.cancel()
        if self._held:
            await asyncio.wait(self._held)
            await self._in_thread(lambda: persona_claims.release_claims(held=list(self._held.values())))

    @staticmethod
    async def _in_thread(work: Callable[..., Result], *given: object) -> Result:
        return await sync_to_async(work)(*given)

    # -- in the database thread ---------------------------------------------------------------------------------------

    def _claim(self) -> list[PersonaBranch]:
        return persona_claims.claim_branches(growth_id=self._growth.pk)

    def _goes_on(self) -> bool:
        """Whether to carry on; says besides that somebody is at it."""
        self._sign.renew()
        if time.monotonic() - self._renewed > LEASE.total_seconds() / 3:
            self._renewed = time.monotonic()
            persona_claims.renew_claims(held=self._held.values())
        running = PersonaGrowth.objects.filter(pk=self._growth.pk, state=PersonaGrowth.State.RUNNING)
        return running.exists() and not pullers.is_closing()


def _text_of(branch: PersonaBranch) -> str:
    """As much of it as is shown: whole texts of many documents are not held at once."""
    return excerpt_of(Document.objects.values_list("text", flat=True).get(pk=branch.document_id))


def _sketch(branch: PersonaBranch) -> PersonaSketch:
    assert branch.persona is not None
    assert branch.persona.current is not None
    return PersonaSketch(name=branch.persona.name, description=branch.persona.current.description)
