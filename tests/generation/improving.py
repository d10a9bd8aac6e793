"""Improvements for tests: started as the page does, and worked on within the test by what workers call."""

from __future__ import annotations

import time
from typing import Any

from datasets.filters import ConversationFilter
from datasets.models import Conversation, Judgement, Project, User
from datasets.schema import Score
from generation.casts import Casts
from generation.engine.mending import Mending
from generation.engine.protocols import Attempt, Job, Landing, Made, ModelRole, Verdict
from generation.engine.recipe import ModelChoice
from generation.models import Endpoint, Improvement, ImprovementItem
from generation.services.improving import claims, improvements
from generation.services.improving import desk as improvement_desk
from generation.services.improving.desk import IMPROVEMENTS
from generation.services.improving.improvements import Selection
from generation.services.improving.landing import land_proposals
from tests.factories import make_conversation

ROLES: tuple[ModelRole, ...] = ("respondent", "correspondent", "judge")


def spoken_by(endpoint: Endpoint, model: str = "") -> dict[ModelRole, ModelChoice]:
    return dict.fromkeys(ROLES, ModelChoice(endpoint=endpoint.pk, model=model))


def ordered(
    project: Project,
    *conversations: Conversation,
    endpoint: Endpoint | None = None,
    user: User | None = None,
    **wanted: Any,
) -> Improvement:
    """Of these conversations, or of all; spoken by `endpoint`, or by whoever spoke in their runs."""
    models = spoken_by(endpoint) if endpoint else {}
    selection = Selection(ConversationFilter(pick=tuple(row.pk for row in conversations)))
    return improvements.start_improvement(
        project=project, selection=selection, wanted=Mending(models=models, **wanted), user=user
    )


def worked(improvement: Improvement, *, within: float = 30.0) -> Improvement:
    """The improvement after it has been worked on until it runs no more. Needs a database whose rows are committed."""
    ends = time.monotonic() + within
    improvement.refresh_from_db()
    while improvement.is_active:
        if time.monotonic() > ends:
            raise AssertionError(f"It still runs after {within} s: {improvement.made} of {improvement.total} made.")
        IMPROVEMENTS.pull(improvement.pk)
        improvement.refresh_from_db()
    return improvement


def judged(
    project: Project, *said: str, score: float = 0.4, first_bad: int | None = None, **fields: Any
) -> Conversation:
    """A conversation that its judge found wanting."""
    row = make_conversation(project, *said, score=score, **fields)
    Judgement.objects.create(
        version=row.head, evaluator="judge", model="test-model", overall=score, first_bad=first_bad,
        feedback="The second answer forgets the fuse.",
    )  # fmt: skip
    return row


def item_of(improvement: Improvement, conversation: Conversation | None = None) -> ImprovementItem:
    rows = improvement.items.select_related("proposal", "base", "conversation")
    return rows.get(conversation=conversation) if conversation else rows.get()


def proposed(project: Project, conversation: Conversation, *answers: str, after: float | None = 0.8) -> ImprovementItem:
    """A proposal that changes the answers of `conversation` to these, spoken by the offline model."""
    improvement = ordered(project, conversation, endpoint=project.endpoints.get(preset="offline"))
    (claimed,) = claims.claim_items(improvement_id=improvement.pk, limit=1)
    base, new = claimed.base.dialog, iter(answers or ("Hold it for twenty seconds.",) * claimed.base.dialog.turns)
    messages = [one if one.role == "user" else one.model_copy(update={"content": next(new)}) for one in base.messages]
    verdict = Verdict("judge", "test-model", (Score(criterion="factuality", value=after),), after, "Fine now.")
    better = Attempt(base.model_copy(update={"messages": tuple(messages)}), verdict, "improved", 0)
    job = Job(claimed.pk, str(claimed.lease_token), improvement_desk.commission_of(claimed))
    casts = Casts.model_validate(improvement.frozen)
    land_proposals(improvement=improvement, casts=casts, landings=[Landing(job, Made((Attempt(base), better)))])
    improvements.finish_improvement(improvement)
    return item_of(improvement)
