"""The stopping rules of a run, asked with what its rows say."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

from django.db import connection

from datasets.models import Passage
from generation import extensions
from generation.engine import rules
from generation.engine.recipe import Recipe
from generation.models import Run, Slot

LOOK_EVERY = 2.0
"""Seconds between two counts of rows."""

COVERED = """
    SELECT count(*) FROM (
        SELECT passage FROM generation_slot, unnest(context) AS passage
        WHERE run_id = %s AND state = 'done' GROUP BY passage HAVING count(*) >= %s
    ) AS covered
"""


class StoppingFacts:
    """The rules of one run, and what they are asked with."""

    def __init__(self, run: Run, spec: Recipe) -> None:
        self._run = run.pk
        self._corpus = spec.corpus
        self._rules = list(rules.each(spec.stopping))
        self._rule = rules.live(spec.stopping, extensions.stopping_rules())
        self._outcomes: deque[bool] = deque(maxlen=max(self._windows(), default=1))
        self._looked = float("-inf")
        self._coverage: dict[int, float] = {}
        self._personas = 0

    def _windows(self) -> Iterable[int]:
        return (rule.window for rule in self._rules if isinstance(rule, rules.ErrorRate))

    def note(self, *, failed: bool) -> None:
        """A conversation has ended."""
        self._outcomes.append(failed)

    def clear(self) -> None:
        """Whoever resumes the run starts the error rate anew."""
        self._outcomes.clear()

    def reason(self, run: Run) -> str | None:
        """Why the run is to stop now, or None. `run` has its latest counters."""
        if not self._rules:
            return None
        if time.monotonic() - self._looked > LOOK_EVERY:
            self._looked = time.monotonic()
            self._look()
        return self._rule.reason(
            rules.Facts(
                made=run.slots_done,
                prompt_tokens=run.prompt_tokens,
                completion_tokens=run.completion_tokens,
                money=run.cost,
                personas=self._personas,
                coverage=self._coverage,
                outcomes=tuple(self._outcomes),
            )
        )

    def _look(self) -> None:
        wanted = {rule.visits for rule in self._rules if isinstance(rule, rules.Coverage)}
        if wanted:
            total = Passage.objects.filter(corpus=self._corpus).count()
            self._coverage = {visits: self._covered(visits) / total if total else 1.0 for visits in wanted}
        if any(isinstance(rule, rules.Personas) for rule in self._rules):
            done = Slot.objects.filter(run=self._run, state=Slot.State.DONE, persona__isnull=False)
            self._personas = done.order_by().values("persona").distinct().count()

    def _covered(self, visits: int) -> int:
        with connection.cursor() as cursor:
            cursor.execute(COVERED, [self._run, visits])
            return cursor.fetchone()[0]
