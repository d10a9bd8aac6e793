"""How finished dialogs become rows: all that came in together, in one transaction, for claims that still hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from datasets.models import Conversation, Judgement, Version
from datasets.schema import Step
from datasets.services.conversations import opening_of, take_ids, version_columns
from datasets.text import clean, clean_json
from generation.adapters.metering import Metered, lines
from generation.engine.protocols import Failed, Job, Landing, Made, Verdict
from generation.frozen import Frozen
from generation.models import Call, Run, Slot

from .claims import MAX_ATTEMPTS
from .openings import free_waiting

RETRY_AFTER = timedelta(seconds=20)
"""How long a slot that failed for a passing reason waits for its next attempt, times the attempts so far."""


@dataclass(slots=True)
class Landed:
    """What a landing changed. `fatal` is the message of an error that only a person can mend."""

    made: int = 0
    failed: int = 0
    fatal: str = ""


@transaction.atomic
def land(*, run: Run, frozen: Frozen, landings: Sequence[Landing], metered: Sequence[Metered] = ()) -> Landed:
    """Write the outcomes of jobs whose claim still holds; drop the others, which somebody else is making again.

    `metered` is what was embedded meanwhile, for whichever jobs.
    """
    slots = _held([landing.job for landing in landings])
    kept = [landing for landing in landings if landing.job.slot in slots]
    landed = Landed()
    made = [(slots[item.job.slot], item.outcome) for item in kept if isinstance(item.outcome, Made)]
    failed = [(slots[item.job.slot], item.outcome) for item in kept if isinstance(item.outcome, Failed)]
    _write_conversations(run, frozen, made)
    for slot, outcome in failed:
        _fail(slot, outcome, landed)
    landed.made = len(made)
    calls = [_call(run, frozen, slot, step) for slot, step in _steps(made, failed)]
    _write_calls(run, [*calls, *lines(metered, project=run.project_id, run=run.pk, frozen=frozen.embedders)], landed)
    return landed


@transaction.atomic
def land_metered(*, run: Run, frozen: Frozen, metered: Sequence[Metered]) -> None:
    """Write what was embedded and came with no landing, unless the run has been deleted."""
    if metered and Run.objects.select_for_update(no_key=True).filter(pk=run.pk).exists():
        _write_calls(run, lines(metered, project=run.project_id, run=run.pk, frozen=frozen.embedders), Landed())


def _held(jobs: Sequence[Job]) -> dict[int, Slot]:
    """The slots of the jobs that still hold their claim, locked, by primary key."""
    tokens = {job.slot: job.token for job in jobs}
    rows = Slot.objects.select_for_update().filter(pk__in=tokens, state=Slot.State.RUNNING).order_by("pk")
    return {slot.pk: slot for slot in rows if str(slot.lease_token) == tokens[slot.pk]}


def _write_conversations(run: Run, frozen: Frozen, made: Sequence[tuple[Slot, Made]]) -> None:
    """A conversation for each, with a version for each attempt at it, of which the best is the head."""
    if not made:
        return
    conversations = take_ids(Conversation, len(made))
    versions = iter(take_ids(Version, sum(len(outcome.attempts) for _, outcome in made)))
    rows = [
        _Row(slot, outcome, pk, [next(versions) for _ in outcome.attempts])
        for (slot, outcome), pk in zip(made, conversations, strict=True)
    ]
    Conversation.objects.bulk_create(_conversation(run, frozen, row) for row in rows)
    Version.objects.bulk_create(version for row in rows for version in _versions(row))
    Judgement.objects.bulk_create(judgement for row in rows for judgement in _judgements(row))
    _close({row.slot.pk: row.pk for row in rows}, delivered=not run.spec.get("sinks"))


@dataclass(frozen=True, slots=True)
class _Row:
    """A conversation to be written: its primary key, and those of its versions."""

    slot: Slot
    outcome: Made
    pk: int
    versions: list[int]


def _conversation(run: Run, frozen: Frozen, row: _Row) -> Conversation:
    dialog, verdict = row.outcome.dialog, row.outcome.verdict
    return Conversation(
        pk=row.pk,
        head_id=row.versions[row.outcome.best],
        project_id=run.project_id,
        batch_id=run.batch_id,
        persona_id=row.slot.persona_id,
        opening=opening_of(dialog),
        turns=dialog.turns,
        score=verdict.overall if verdict else None,
        offline=frozen.offline,
    )


def _versions(row: _Row) -> Iterable[Version]:
    for number, (pk, attempt) in enumerate(zip(row.versions, row.outcome.attempts, strict=True), 1):
        yield Version(
            pk=pk,
            conversation_id=row.pk,
            number=number,
            origin=attempt.origin,
            label=attempt.label,
            parent_id=None if attempt.parent is None else row.versions[attempt.parent],
            **version_columns(attempt.dialog),
        )


def _judgements(row: _Row) -> Iterable[Judgement]:
    for pk, attempt in zip(row.versions, row.outcome.attempts, strict=True):
        if attempt.verdict:
            yield Judgement(version_id=pk, **judgement_columns(attempt.verdict))


def judgement_columns(verdict: Verdict) -> dict[str, Any]:
    """What a Judgement row holds of a verdict."""
    return {
        "evaluator": verdict.evaluator,
        "model": verdict.model,
        "overall": verdict.overall,
        "scores": clean_json([score.model_dump(mode="json") for score in verdict.scores]),
        "grade": verdict.grade,
        "feedback": clean(verdict.feedback),
        "first_bad": verdict.first_bad,
        "error": clean(verdict.error),
    }


def _fail(slot: Slot, outcome: Failed, landed: Landed) -> None:
    """A passing failure waits for another attempt; a fatal one leaves the slot open for when the run is resumed.

    One for want of calls waits with the whole run.
    """
    slot.error, slot.error_kind = clean(outcome.error), outcome.kind
    if outcome.retry_after is not None:
        slot.state, slot.attempts = Slot.State.PENDING, max(0, slot.attempts - 1)
    elif outcome.kind == "fatal":
        slot.state, slot.attempts = Slot.State.PENDING, max(0, slot.attempts - 1)
        landed.fatal = slot.error
    elif outcome.kind == "transient" and slot.attempts < MAX_ATTEMPTS:
        slot.state, slot.not_before = Slot.State.PENDING, timezone.now() + RETRY_AFTER * slot.attempts
    else:
        slot.state = Slot.State.FAILED
        landed.failed += 1
    slot.lease_token, slot.lease_until = None, None
    slot.save()
    if slot.state == Slot.State.FAILED:
        free_waiting(slot)


# One statement for all that landed together: it is a sixth of the work of Django's bulk_update.
CLOSE = """
    UPDATE generation_slot AS slot
    SET state = 'done', conversation_id = made.conversation, delivered = %s, error = '', error_kind = '',
        lease_token = NULL, lease_until = NULL, updated = now()
    FROM unnest(%s::bigint[], %s::bigint[]) AS made (id, conversation)
    WHERE slot.id = made.id
"""


def _close(conversations: Mapping[int, int], *, delivered: bool) -> None:
    """Slots that are done, by primary key, with the conversations that fill them."""
    with connection.cursor() as cursor:
        cursor.execute(CLOSE, [delivered, list(conversations), list(conversations.values())])


def _steps(made: Sequence[tuple[Slot, Made]], failed: Sequence[tuple[Slot, Failed]]) -> Iterable[tuple[Slot, Step]]:
    for slot, outcome in made:
        yield from ((slot, step) for step in outcome.steps)
    for slot, failure in failed:
        yield from ((slot, step) for step in failure.steps)


def _write_calls(run: Run, calls: Sequence[Call], landed: Landed) -> None:
    """The ledger's lines, and the run's counters in the same transaction."""
    Call.objects.bulk_create(calls)
    Run.objects.filter(pk=run.pk).update(
        slots_done=F("slots_done") + landed.made,
        slots_failed=F("slots_failed") + landed.failed,
        calls=F("calls") + len(calls),
        prompt_tokens=F("prompt_tokens") + sum(call.prompt_tokens for call in calls),
        completion_tokens=F("completion_tokens") + sum(call.completion_tokens for call in calls),
        cost=F("cost") + sum((call.cost for call in calls), Decimal(0)),
    )


def _call(run: Run, frozen: Frozen, slot: Slot, step: Step) -> Call:
    model = frozen.spoken_by(step)
    return Call(
        project_id=run.project_id,
        run_id=run.pk,
        slot=slot.index,
        endpoint_id=model.endpoint,
        cost=model.cost(step.prompt_tokens, step.completion_tokens),
        **call_columns(step, asked=model.model),
    )


def call_columns(step: Step, *, asked: str) -> dict[str, Any]:
    """What a Call row holds of a step, whoever pays for it.

    The model is the one that the server says; of a reply that was thrown away, the one that was `asked`.
    """
    return {
        "operation": step.operation,
        "model": step.model or asked,
        "prompt_tokens": step.prompt_tokens,
        "completion_tokens": step.completion_tokens,
        "latency_ms": step.latency_ms,
        "tries": step.tries,
        "finish": step.finish,
    }
