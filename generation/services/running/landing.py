"""How finished dialogs become rows: all that came in together, in one transaction, for claims that still hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from datasets.models import Conversation, Judgement, Version
from datasets.schema import Step
from datasets.services.curating.conversations import opening_of, take_ids, version_columns
from datasets.text import clean, clean_json
from generation.engine.protocols import Brief, Failed, Landing, Made, Verdict
from generation.frozen import Frozen
from generation.models import Call, Run, Slot
from generation.services.running.openings import free_waiting
from generation.services.work.charging import call_columns, charge
from generation.services.work.desk import Landed, still_held


@transaction.atomic
def land(
    *, run: Run, frozen: Frozen, landings: Sequence[Landing[Brief, Made]], embedded: Sequence[Call] = ()
) -> Landed:
    """Write the outcomes of jobs whose claim still holds; drop the others, which somebody else is making again."""
    kept = still_held(Slot.objects.all(), landings)
    landed = Landed()
    made = [(slot, outcome) for slot, outcome in kept if isinstance(outcome, Made)]
    failed = [(slot, outcome) for slot, outcome in kept if isinstance(outcome, Failed)]
    _write_conversations(run, frozen, made)
    for slot, outcome in failed:
        _fail(slot, outcome, landed)
    landed.made = len(made)
    calls = [_call(run, frozen, slot, step) for slot, step in _steps(made, failed)]
    charge(run, [*calls, *embedded], slots_done=landed.made, slots_failed=landed.failed)
    return landed


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
    slot.error_kind = outcome.kind
    landed.note(slot, outcome)
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
