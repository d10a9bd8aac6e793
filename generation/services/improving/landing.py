"""How proposals become rows: all that came in together, in one transaction, for claims that still hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django.db import transaction

from datasets.models import Conversation, Judgement, Origin, Version
from datasets.schema import Step
from datasets.services.curating.versions import Proposed, add_proposals, locked
from generation.adapters.mending import Commission
from generation.casts import Cast, Casts
from generation.engine.protocols import Failed, Landing, Made
from generation.models import Call, Improvement, ImprovementItem
from generation.services.running.landing import judgement_columns
from generation.services.work.charging import call_columns, charge
from generation.services.work.desk import Landed, still_held

State = ImprovementItem.State


@transaction.atomic
def land_proposals(
    *,
    improvement: Improvement,
    casts: Casts,
    landings: Sequence[Landing[Commission, Made]],
    embedded: Sequence[Call] = (),
) -> Landed:
    """Write the outcomes of jobs whose claim still holds; drop the others, which somebody else is making again."""
    kept = still_held(ImprovementItem.objects.all(), landings)
    conversations = locked([item.conversation_id for item, _ in kept])
    landed = Landed()
    made = [(item, outcome) for item, outcome in kept if isinstance(outcome, Made)]
    _propose(made, conversations, label=" ".join(improvement.spec["instruction"].split())[:60])
    for item, outcome in kept:
        if isinstance(outcome, Failed):
            landed.note(item, outcome)
    landed.made = len(made)
    calls = [_call(improvement, cast, step) for cast, step in _steps(kept, conversations, casts)]
    charge(improvement, [*calls, *embedded], made=landed.made, failed=landed.failed)
    return landed


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
        item.end(State.PROPOSED)


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


Spoken = tuple[Cast, Step]


def _steps(
    kept: Iterable[tuple[ImprovementItem, Made | Failed]], conversations: Mapping[int, Conversation], casts: Casts
) -> Iterable[Spoken]:
    for item, outcome in kept:
        cast = casts.of(conversations[item.conversation_id].batch_id)
        yield from ((cast, step) for step in outcome.steps)


def _call(improvement: Improvement, cast: Cast, step: Step) -> Call:
    model = cast.spoken_by(step)
    return Call(
        project_id=improvement.project_id,
        endpoint_id=model.endpoint,
        cost=model.cost(step.prompt_tokens, step.completion_tokens),
        **call_columns(step, asked=model.model),
    )
