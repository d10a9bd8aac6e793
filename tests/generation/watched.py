"""Runs whose slots have ended and whose calls are in the ledger, without a worker: what metrics and alerts look at."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from datasets.models import Judgement, Project
from generation.models import AlertRule, Call, Run, Slot
from generation.services.monitoring import rules as alert_rules
from tests.factories import make_conversation
from tests.generation.runs import launched


def watched(project: Project, *, done: int = 0, failed: int = 0, ago: timedelta = timedelta(), **changes: Any) -> Run:
    """A run that goes on, in which so many conversations have just succeeded and failed, each after one call."""
    run = launched(project, **{"conversations": done + failed + 1, **changes})
    Run.objects.filter(pk=run.pk).update(started=timezone.now() - timedelta(hours=2))
    for index in range(done + failed):
        called(run, slot=index, ago=ago)
        ended(run, index, failed=index >= done, ago=ago)
    run.refresh_from_db()
    return run


def ended(run: Run, index: int, *, failed: bool = False, kind: str = "dialog", ago: timedelta = timedelta()) -> None:
    """As a worker leaves a slot."""
    outcome = {"state": "failed", "error_kind": kind, "error": "No reply."} if failed else {"state": "done"}
    if not failed:
        outcome["conversation"] = make_conversation(run.project, batch=run.batch)
    Slot.objects.filter(run=run, index=index).update(updated=timezone.now() - ago, **outcome)
    counter = "slots_failed" if failed else "slots_done"
    Run.objects.filter(pk=run.pk).update(**{counter: Slot.objects.filter(run=run, state=outcome["state"]).count()})


def called(run: Run, *, ago: timedelta = timedelta(), **fields: Any) -> Call:
    """A line of the ledger: 100 tokens in, 20 out, 1.5 s, a cent."""
    values = {
        "slot": 0, "operation": "answer", "model": "test-model", "prompt_tokens": 100, "completion_tokens": 20,
        "latency_ms": 1500, "cost": Decimal("0.01"), **fields,
    }  # fmt: skip
    call = Call.objects.create(project=run.project, run=run, **values)
    Call.objects.filter(pk=call.pk).update(created=timezone.now() - ago)
    return call


def judged(run: Run, index: int, *, overall: float | None = None, error: str = "", **scores: float | None) -> None:
    """What the judge said of the conversation of a slot."""
    slot = Slot.objects.select_related("conversation").get(run=run, index=index)
    assert slot.conversation is not None
    Judgement.objects.create(
        version_id=slot.conversation.head_id, evaluator="panel", model="judge-model", overall=overall, error=error,
        scores=[{"criterion": name, "value": value, "feedback": ""} for name, value in scores.items()],
    )  # fmt: skip


def rule(project: Project, kind: str, **changes: Any) -> AlertRule:
    """The project's rule of a kind, changed as given."""
    row = next(one for one in alert_rules.rules_of(project) if one.kind == kind)
    for name, value in changes.items():
        setattr(row, name, value)
    row.save()
    return row


def later(minutes: float) -> datetime:
    return timezone.now() + timedelta(minutes=minutes)
