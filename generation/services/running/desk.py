"""The desk of a run: slots go out as briefs, conversations come back; its budget and rules are kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from generation.adapters.briefs import briefs_for
from generation.adapters.metering import Metered, lines
from generation.engine import stopping
from generation.engine.protocols import Brief, Landing, Made, Orders
from generation.engine.recipe import Budget, Recipe
from generation.frozen import Frozen
from generation.models import Call, Run, Slot
from generation.services.running import runs
from generation.services.running.claims import claim_slots
from generation.services.running.landing import land
from generation.services.running.stopping import StoppingFacts
from generation.services.work import pullers
from generation.services.work.desk import Landed, RowDesk

SLICE = 60
"""Seconds after which a puller makes room, if another run has nobody who pulls it."""


class RunDesk(RowDesk[Brief, Made]):
    counters = ("state", "spec", "prompt_tokens", "completion_tokens", "cost", "slots_done", "slots_failed")

    def __init__(self, run: Run, frozen: Frozen) -> None:
        super().__init__(run)
        self.run = run
        self.frozen = frozen
        self.on_share: Callable[[int], None] = lambda share: None
        """Is told, before each look at the orders is answered, how many calls may be in flight here."""
        self._began = time.monotonic()
        self._spec = Recipe.model_validate(run.spec)
        self._rules = StoppingFacts(run, self._spec)

    async def orders(self) -> Orders:
        orders = await super().orders()
        self.on_share(self.share)
        return orders

    # -- in the database thread ---------------------------------------------------------------------------------------

    def take(self, limit: int) -> Iterable[tuple[Slot, Brief]]:
        slots = claim_slots(run_id=self.run.pk, limit=limit)
        return zip(slots, briefs_for(self.run, self._spec, self.frozen, slots), strict=True)

    def write(self, landings: Sequence[Landing[Brief, Made]], embedded: Sequence[Call]) -> Landed:
        return land(run=self.run, frozen=self.frozen, landings=landings, embedded=embedded)

    def lines(self, metered: Sequence[Metered]) -> list[Call]:
        return lines(metered, project=self.run.project_id, run=self.run.pk, frozen=self.frozen.embedders)

    def count(self, error: str | None) -> None:
        super().count(error)
        self._rules.note(failed=error is not None)

    def finish(self) -> None:
        runs.finish_run(self.run)

    def stop_if_due(self) -> None:
        reason = stopping.budget_reached(self._budget, self._spent) or self._failures.reason(self._outcomes)
        reason = reason or self._rules.reason(self.run)
        if reason is None and not self._held and self._affordable(1) == 0:
            reason = "What is left of the budget does not pay for one more conversation."
        if reason:
            runs.stop_run(run=self.run, reason=reason)
            self._rules.clear()
            self._outcomes.clear()  # whoever resumes the run at once starts the count anew

    def in_flight(self, share: int) -> int:
        return 0 if self._makes_room() else self._affordable(share)

    def _affordable(self, most: int) -> int:
        """How many dialogs may be in flight here: what concurrency allows, or what is left of the budget pays for."""
        budget = self._budget
        if budget == Budget():
            return most
        # Those of other workers spend of the same budget.
        running = self.run.slots.filter(state=Slot.State.RUNNING).count()
        more = stopping.affordable(budget, self._spent, running, self._mean)
        return most if more is None else min(most, len(self._held) + more)

    @property
    def _mean(self) -> stopping.Spent:
        """Of a conversation: as they turned out so far, or as reckoned before any has."""
        if ended := self.run.slots_done + self.run.slots_failed:
            return stopping.Spent(self.run.tokens / ended, self.run.cost / ended)
        return stopping.Spent(self.frozen.expected.tokens, self.frozen.expected.money)

    @property
    def _budget(self) -> Budget:
        return Budget.model_validate(self.run.spec["budget"])

    @property
    def _spent(self) -> stopping.Spent:
        return stopping.Spent(self.run.tokens, self.run.cost)

    def _makes_room(self) -> bool:
        """After its slice, a puller gives way to a run that nobody pulls."""
        if time.monotonic() - self._began < SLICE:
            return False
        others = Run.objects.filter(state=Run.State.RUNNING).exclude(pk=self.run.pk).only("pk")
        return any(pullers.pullers_of(run) == 0 for run in others)
