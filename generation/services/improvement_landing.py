"""How proposals become rows: all that came in together, in one transaction, for claims that still hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from datasets.models import Conversation, Judgement, Origin, Version
from datasets.schema import Step
from datasets.services.versions import Proposed, add_proposals, locked
from datasets.text import clean
from generation.adapters.metering import Metered, lines
from generation.casts import Cast, Casts
from generation.engine.protocols import Failed, Job, Landing, Made
from generation.models import Call, Improvement, ImprovementItem

from .claims import MAX_ATTEMPTS
from .landing import RETRY_AFTER, Landed, call_columns, judgement_columns

State = ImprovementItem.State
Held = Mapping[int, ImprovementItem]


@transaction.atomic
def land_proposals(
    *, improvement: Improvement, casts: Casts, landings: Sequence[Landing], metered: Sequence[Metered] = ()
) -> Landed:
    """Write the outcomes of jobs whose claim still holds; drop the others, which somebody else is making again.

    `metered` is what was embedded meanwhile, for whichever jobs; it costs what it costs today.
    """
    items = _held([landing.job for landing in landings])
    kept = [(items[landing.job.slot], landing.outcome) for landing in landings if landing.job.slot in items]
    conversations = locked([item.conversation_id for item, _ in kept])
    landed = Landed()
    made = [(item, outcome) for item, outcome in kept if isinstance(outcome, Made)]
    _propose(made, conversations, label=" ".join(improvement.spec["instruction"].split())[:60])
    for item, outcome in kept:
        if isinstance(outcome, Failed):
            _fail(item, outcome, landed)
    landed.made = len(made)
    calls = [_call(improvement, cast, step) for cast, step in _steps(kept, conversations, casts)]
    _write_calls(improvement, [*calls, *lines(metered, project=improvement.project_id)], landed)
    return landed


@transaction.atomic
def land_metered(*, improvement: Improvement, metered: Sequence[Metered]) -> None:
    """Write what was embedded and came with no landing, unless the improvement has been deleted."""
    if metered and Improvement.objects.select_for_update(no_key=True).filter(pk=improvement.pk).exists():
        _write_calls(improvement, lines(metered, project=improvement.project_id), Landed())


def _held(jobs: Sequence[Job]) -> dict[int, ImprovementItem]:
    """The items of the jobs that still hold their claim, locked, by primary key."""
    tokens = {job.slot: job.token for job in jobs}
    rows = ImprovementItem.objects.select_for_update().filter(pk__in=tokens, state=State.RUNNING).order_by("pk")
    return {item.pk: item for item in rows if str(item.lease_token) == tokens[item.pk]}


def _propose(
    made: Sequence[tuple[ImprovementItem, Made]], conversations: Mapping[int, Conversation], label: str
) -> None:
    """A version for each, beside the one that counts, with its judgement; and that of the base, if it had none."""
    if not made:
        return
    versions = add_proposals(
        [
            Proposed(item.conversation_id, item.base_id, outcome.attempts[-1].dialog, Origin.IMPROVED, label)
            for item, outcome in made
        ]
    )
    Judgement.objects.bulk_create(_judgements(made, versions))
    for (item, outcome), version in zip(made, versions, strict=True):
        _judged_now(item, outcome, conversations[item.conversation_id])
        item.proposal, item.after = version, outcome.attempts[-1].overall
        item.state, item.error, item.lease_token, item.lease_until = State.PROPOSED, "", None, None
        item.save()


def _judgements(made: Sequence[tuple[ImprovementItem, Made]], versions: Sequence[Version]) -> Iterable[Judgement]:
    for (item, outcome), version in zip(made, versions, strict=True):
        for pk, attempt in ((item.base_id, outcome.attempts[0]), (version.pk, outcome.attempts[-1])):
            if attempt.verdict:
                yield Judgement(version_id=pk, **judgement_columns(attempt.verdict))


def _judged_now(item: ImprovementItem, outcome: Made, conversation: Conversation) -> None:
    """A base that nobody had judged has its score now, and with it the conversation that it still stands for."""
    score = outcome.attempts[0].overall
    if score is None:
        return
    item.before = score
    if conversation.head_id == item.base_id:
        conversation.score = score
        conversation.save(update_fields=["score", "updated"])


def _fail(item: ImprovementItem, outcome: Failed, landed: Landed) -> None:
    """A passing failure waits for another attempt; a fatal one leaves the item open for when the work is resumed."""
    item.error = clean(outcome.error)
    if outcome.kind == "fatal":
        item.state, item.attempts = State.PENDING, max(0, item.attempts - 1)
        landed.fatal = item.error
    elif outcome.kind == "transient" and item.attempts < MAX_ATTEMPTS:
        item.state, item.not_before = State.PENDING, timezone.now() + RETRY_AFTER * item.attempts
    else:
        item.state = State.FAILED
        landed.failed += 1
    item.lease_token, item.lease_until = None, None
    item.save()


Spoken = tuple[Cast, Step]


def _steps(
    kept: Iterable[tuple[ImprovementItem, Made | Failed]], conversations: Mapping[int, Conversation], casts: Casts
) -> Iterable[Spoken]:
    for item, outcome in kept:
        cast = casts.of(conversations[item.conversation_id].batch_id)
        yield from ((cast, step) for step in outcome.steps)


def _write_calls(improvement: Improvement, calls: Sequence[Call], landed: Landed) -> None:
    """The ledger's lines, and the improvement's counters in the same transaction."""
    Call.objects.bulk_create(calls)
    Improvement.objects.filter(pk=improvement.pk).update(
        made=F("made") + landed.made,
        failed=F("failed") + landed.failed,
        calls=F("calls") + len(calls),
        prompt_tokens=F("prompt_tokens") + sum(call.prompt_tokens for call in calls),
        completion_tokens=F("completion_tokens") + sum(call.completion_tokens for call in calls),
        cost=F("cost") + sum((call.cost for call in calls), Decimal(0)),
    )


def _call(improvement: Improvement, cast: Cast, step: Step) -> Call:
    model = cast.spoken_by(step)
    return Call(
        project_id=improvement.project_id,
        endpoint_id=model.endpoint,
        cost=model.cost(step.prompt_tokens, step.completion_tokens),
        **call_columns(step, asked=model.model),
    )
