"""How five personas become rows: with what they cost and the branches that go on from them, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from datasets.schema import Step
from datasets.services.personas_added import Draft, add_personas
from datasets.text import clean
from generation.engine.protocols import FailureKind, PersonaSketch
from generation.engine.stopping import same_kind
from generation.models import Call, PersonaBranch, PersonaGrowth

from . import persona_growths
from .claims import MAX_ATTEMPTS
from .landing import call_columns

RETRY_AFTER = timedelta(seconds=20)
"""How long a branch that failed for a passing reason waits for its next attempt, times the attempts so far."""
STREAK = 10
"""So many failures in a row, all with the same error, end a growth."""
State = PersonaBranch.State


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a branch: personas, or an error. `steps` are the calls that were paid for in either case."""

    branch: PersonaBranch
    sketches: Sequence[PersonaSketch] = ()
    error: str = ""
    kind: FailureKind = "dialog"
    steps: Sequence[Step] = ()


@transaction.atomic
def land(ended: Ended) -> bool:
    """Write what came of a branch, if its claim still holds. False: somebody else is at it, or it has been cancelled."""
    # The growth before its branches, as whoever claims and cancels locks them.
    growth = (
        PersonaGrowth.objects.select_for_update(no_key=True).select_related("project").get(pk=ended.branch.growth_id)
    )
    held = growth.branches.select_for_update().filter(pk=ended.branch.pk, state=State.RUNNING)
    branch = held.filter(lease_token=ended.branch.lease_token).first()
    if branch is None:
        return False
    made = 0 if ended.error else _write_personas(growth, branch, ended.sketches)
    _close(branch, ended)
    _write_calls(growth, ended.steps, made)
    if ended.error and (reason := _reason_to_stop(growth, ended)):
        persona_growths.fail_growth(growth=growth, reason=reason)
    persona_growths.finish_growth(growth=growth)
    return True


def _reason_to_stop(growth: PersonaGrowth, ended: Ended) -> str:
    """Why nothing more is to be begun after an error; empty where others may still fare better."""
    if ended.kind == "fatal":
        return clean(ended.error)
    tried = growth.branches.exclude(state__in=[State.RUNNING, State.CANCELLED]).exclude(state=State.PENDING, error="")
    latest = list(tried.order_by("-updated").values_list("error", flat=True)[:STREAK])
    if len(latest) == STREAK and len({same_kind(error) for error in latest}) == 1 and latest[0]:
        return f"{STREAK} steps in a row failed with the same error: {latest[0]}"
    return ""


def _write_personas(growth: PersonaGrowth, branch: PersonaBranch, sketches: Sequence[PersonaSketch]) -> int:
    drafts = [
        Draft(
            name=clean(sketch.name),
            description=clean(sketch.description),
            document=branch.document_id,
            parent=branch.persona_id,
            depth=branch.depth,
            proposed=True,
            model=growth.model,
        )
        for sketch in sketches
    ]
    rows = add_personas(project=growth.project, drafts=drafts, author=None)
    if branch.depth < growth.depth:
        PersonaBranch.objects.bulk_create(
            PersonaBranch(growth=growth, document_id=branch.document_id, persona=row, depth=branch.depth + 1)
            for row in rows
        )
    return len(rows)


def _close(branch: PersonaBranch, ended: Ended) -> None:
    """A passing failure waits for another attempt; a fatal one leaves the branch open for when it is carried on."""
    branch.error, branch.lease_token, branch.lease_until = clean(ended.error), None, None
    if not ended.error:
        branch.state = State.DONE
    elif ended.kind == "fatal":
        branch.state, branch.attempts = State.PENDING, max(0, branch.attempts - 1)
    elif ended.kind == "transient" and branch.attempts < MAX_ATTEMPTS:
        branch.state, branch.not_before = State.PENDING, timezone.now() + RETRY_AFTER * branch.attempts
    else:
        branch.state = State.FAILED
    branch.save()


def _write_calls(growth: PersonaGrowth, steps: Sequence[Step], made: int) -> None:
    """The ledger's lines, and the growth's counters."""
    calls = [_call(growth, step) for step in steps]
    Call.objects.bulk_create(calls)
    PersonaGrowth.objects.filter(pk=growth.pk).update(
        personas=F("personas") + made,
        calls=F("calls") + len(calls),
        prompt_tokens=F("prompt_tokens") + sum(call.prompt_tokens for call in calls),
        completion_tokens=F("completion_tokens") + sum(call.completion_tokens for call in calls),
        cost=F("cost") + sum((call.cost for call in calls), Decimal(0)),
    )


def _call(growth: PersonaGrowth, step: Step) -> Call:
    return Call(
        project_id=growth.project_id,
        endpoint_id=growth.endpoint_id,
        cost=growth.price_of(step.prompt_tokens, step.completion_tokens),
        **call_columns(step, asked=growth.model),
    )
