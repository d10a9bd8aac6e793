"""What alert rules are asked with: the numbers of many runs at once, over the last minutes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from generation.engine.recipe import Budget
from generation.models import Run


@dataclass(slots=True)
class Facts:
    """Of one run in a window, or (only `money`) of a project. `errors` are attempts that failed, whatever came after.

    `calls` and their tokens are those of models that speak: embeddings would thin out the means.
    """

    done: int = 0
    failed: int = 0
    errors: int = 0
    turns: int = 0
    calls: int = 0
    prompt: int = 0
    completion: int = 0
    dialogs: int = 0
    seconds: float = 0
    judged: int = 0
    misjudged: int = 0
    budget_used: float = 0
    money: float = 0

    @property
    def attempts(self) -> int:
        return self.done + self.errors


CALLS = """
    SELECT run_id, sum(n), coalesce(sum(prompt), 0), sum(completion), count(ms), coalesce(sum(ms), 0) / 1000.0 FROM (
        SELECT run_id, count(*) FILTER (WHERE operation <> 'embedding') AS n,
          sum(prompt_tokens) FILTER (WHERE operation <> 'embedding') AS prompt, sum(completion_tokens) AS completion,
          sum(latency_ms) FILTER (WHERE slot IS NOT NULL AND operation <> ALL(%(aside)s)) AS ms
        FROM generation_call WHERE run_id = ANY(%(runs)s) AND created >= %(since)s GROUP BY run_id, slot
    ) AS conversation GROUP BY run_id
"""
OUTCOMES = """
    SELECT slot.run_id, count(*) FILTER (WHERE slot.state = 'done'), count(*) FILTER (WHERE slot.state = 'failed'),
      count(*) FILTER (WHERE slot.state <> 'done'), coalesce(sum(conversation.turns), 0)
    FROM generation_slot AS slot LEFT JOIN datasets_conversation AS conversation
      ON conversation.id = slot.conversation_id
    WHERE slot.run_id = ANY(%(runs)s) AND slot.updated >= %(since)s
      AND (slot.state = 'done' OR slot.error_kind <> '') AND slot.state <> 'cancelled' GROUP BY 1
"""
JUDGED = """
    SELECT slot.run_id, count(*), count(*) FILTER (WHERE judgement.error <> '')
    FROM generation_slot AS slot JOIN datasets_version AS version ON version.conversation_id = slot.conversation_id
      JOIN datasets_judgement AS judgement ON judgement.version_id = version.id
    WHERE slot.run_id = ANY(%(runs)s) AND slot.updated >= %(since)s AND slot.state = 'done' GROUP BY 1
"""
SPENT = """
    SELECT project_id, sum(cost) FROM generation_call
    WHERE project_id = ANY(%(projects)s) AND created >= %(since)s GROUP BY 1
"""


def facts_of(runs: Sequence[Run], since: datetime, *, aside: Sequence[str]) -> dict[int, Facts]:
    """By run, those included that did nothing since. `aside`: operations that are no part of making a conversation."""
    found = {run.pk: Facts(budget_used=_budget_used(run)) for run in runs}
    asked = {"runs": list(found), "since": since, "aside": list(aside)}
    for run, calls, prompt, completion, dialogs, seconds in _rows(CALLS, asked):
        one = found[run]
        one.calls, one.prompt, one.completion = int(calls), int(prompt), int(completion)
        one.dialogs, one.seconds = dialogs, float(seconds)
    for run, *outcomes in _rows(OUTCOMES, asked):
        one = found[run]
        one.done, one.failed, one.errors, one.turns = outcomes
    for run, *judged in _rows(JUDGED, asked):
        found[run].judged, found[run].misjudged = judged
    return found


def spent_by(projects: Iterable[int], since: datetime) -> dict[int, Facts]:
    """By project, those included that spent nothing since."""
    found = {project: Facts() for project in projects}
    for project, money in _rows(SPENT, {"projects": list(found), "since": since}):
        found[project].money = float(money)
    return found


def _budget_used(run: Run) -> float:
    """The share of the money or of the tokens that a run may use, whichever is nearer to its end."""
    budget = Budget.model_validate(run.spec.get("budget", {}))
    parts = [(run.tokens, budget.tokens), (float(run.cost), float(budget.money or 0))]
    return max((used / limit for used, limit in parts if limit), default=0.0) if run.is_active else 0.0


def _rows(query: str, asked: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, asked)
        return cursor.fetchall()
