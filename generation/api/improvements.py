"""Improvements: conversations whose answers are made anew, each as a proposal to accept or decline."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema
from pydantic import ConfigDict

from datasets.access import project_for
from datasets.api.exports import StrictFilter
from datasets.api.shapes import PROJECT, ApiRequest, Body, Id, Page, Place, enqueue, one_of, page_of
from datasets.models import Project, Role
from datasets.schema import Message
from datasets.services.curating.reviews import HeadChanged
from datasets.services.errors import Refused
from generation.engine.mending import Mending
from generation.models import Improvement, ImprovementItem
from generation.services.improving import improvements, proposals
from generation.services.improving.estimating import Reckoned, estimate_improvement
from generation.services.improving.improvements import Selection
from generation.tasks import call_for_workers

router = Router(tags=["Improvements"])

IMPROVEMENTS = PROJECT + "/improvements"
IMPROVEMENT = IMPROVEMENTS + "/{int:improvement}"
PROPOSALS = IMPROVEMENT + "/proposals"
PROPOSAL = PROPOSALS + "/{int:proposal}"
HEAD_START = 5.0
OVERTAKEN = (
    "Another version counts by now than the one that you read: read the proposal again, and accept it with the `head` "
    "that it has then."
)

ACTIONS = {
    "cancel": improvements.cancel_improvement,
    "resume": improvements.resume_improvement,
    "retry": improvements.retry_failed,
}
EXAMPLE: dict[str, Any] = {
    "filter": {"score_max": 0.6},
    "how": {"instruction": "Name the part that is meant.", "judge": True},
}


class ImproveIn(Body):
    """Which conversations, and how. `filter.pick` names them one by one."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    filter: StrictFilter = StrictFilter()
    how: Mending = Mending()

    @property
    def selection(self) -> Selection:
        return Selection(self.filter)


class ReckonedOut(Schema):
    conversations: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal = Field(description="By the prices of the endpoints; 0 where none is set.")
    offline: bool


class ImprovementOut(Schema):
    id: int
    state: str = Field(json_schema_extra=one_of(Improvement.State.values))
    reason: str = Field(description="Why it failed or ended early, in a sentence.")
    offline: bool = Field(description="Whether the offline model speaks in any role.")
    how: Mending = Field(alias="spec")
    conversations: int = Field(alias="total", description="How many it was asked for.")
    made: int = Field(description="Proposals made, whatever became of them.")
    failed: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal
    created: datetime
    finished: datetime | None


class ProposalOut(Schema):
    id: int
    conversation: int = Field(alias="conversation_id")
    state: str = Field(json_schema_extra=one_of(ImprovementItem.State.values))
    base: int = Field(alias="base_id", description="Id of the version that it was made from.")
    version: int | None = Field(alias="proposal_id", description="Id of the proposed version, once there is one.")
    head: int = Field(description="Id of the version that counts now: accepting asks for it.")
    before: float | None = Field(description="The judge's overall score of the base.")
    after: float | None = Field(description="That of the proposal.")
    error: str

    @staticmethod
    def resolve_head(item: ImprovementItem) -> int | None:
        return item.conversation.head_id


class ProposalDetail(ProposalOut):
    """With what was said, if there is a proposal."""

    messages: list[Message]
    feedback: str = Field(description="What the judge said of the proposal.")

    @staticmethod
    def resolve_messages(item: ImprovementItem) -> list[Message]:
        return list(item.proposal.spoken.messages) if item.proposal else []

    @staticmethod
    def resolve_feedback(item: ImprovementItem) -> str:
        judgement = item.proposal.judgements.last() if item.proposal else None
        return judgement.feedback if judgement else ""


class AcceptIn(Body):
    head: Id = Field(description="`head` of the proposal as it was read: if another version counts by now, 409.")


@router.get(IMPROVEMENTS, response=Page[ImprovementOut])
def list_improvements(request: ApiRequest, project: str, place: Query[Place]) -> dict[str, Any]:
    """The improvements of a project, newest first."""
    return page_of(project_for(request.auth, project).improvements.all(), place, newest_first=True)


@router.post(IMPROVEMENTS, response={201: ImprovementOut})
def start_improvement(request: ApiRequest, project: str, body: ImproveIn) -> Improvement:
    """Have conversations improved. Nothing changes until a proposal is accepted. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    improvement = improvements.start_improvement(
        project=row, selection=body.selection, wanted=body.how, user=request.auth
    )
    enqueue(call_for_workers, improvement)
    return improvement


@router.post(IMPROVEMENTS + "/estimate", response=ReckonedOut)
def estimate_improving(request: ApiRequest, project: str, body: ImproveIn) -> Reckoned:
    """What it will take: calls, tokens and money. Nothing is begun. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    return estimate_improvement(project=row, selection=body.selection, wanted=body.how)


@router.get(IMPROVEMENT, response=ImprovementOut)
def get_improvement(request: ApiRequest, project: str, improvement: int) -> Improvement:
    """One improvement, and where it stands."""
    return get_object_or_404(project_for(request.auth, project).improvements, pk=improvement)


@router.get(PROPOSALS, response=Page[ProposalOut])
def list_proposals(request: ApiRequest, project: str, improvement: int, place: Query[Place]) -> dict[str, Any]:
    """The conversations of an improvement, each with its proposal if there is one."""
    row = get_object_or_404(project_for(request.auth, project).improvements, pk=improvement)
    return page_of(row.items.select_related("conversation"), place)


@router.get(PROPOSAL, response=ProposalDetail)
def get_proposal(request: ApiRequest, project: str, improvement: int, proposal: int) -> ImprovementItem:
    """One conversation of an improvement, with what is proposed for it."""
    return _item(project_for(request.auth, project), improvement, proposal)


@router.post(PROPOSAL + "/accept", response=ProposalOut)
def accept_proposal(
    request: ApiRequest, project: str, improvement: int, proposal: int, body: AcceptIn
) -> ImprovementItem:
    """Make the proposal the version that counts. Needs the role of curator."""
    item = _item(project_for(request.auth, project, Role.CURATOR), improvement, proposal)
    try:
        proposals.accept_proposal(item=item, user=request.auth, head=body.head)
    except HeadChanged as changed:
        raise HeadChanged(OVERTAKEN, field="head") from changed
    return _item(item.improvement.project, improvement, proposal)


@router.post(PROPOSAL + "/decline", response=ProposalOut)
def decline_proposal(request: ApiRequest, project: str, improvement: int, proposal: int) -> ImprovementItem:
    """Leave the conversation as it is; the proposal stays among its versions. Needs the role of curator."""
    item = _item(project_for(request.auth, project, Role.CURATOR), improvement, proposal)
    proposals.decline_proposal(item=item, user=request.auth)
    return _item(item.improvement.project, improvement, proposal)


@router.post(IMPROVEMENT + "/{change}", response=ImprovementOut)
def steer_improvement(
    request: ApiRequest, project: str, improvement: int, change: Literal["cancel", "resume", "retry", "accept-better"]
) -> Improvement:
    """`cancel`: stop for good, `resume`: go on after a failure, `retry`: try the failed ones again, `accept-better`:
    accept every proposal that scores higher than what it replaces. Needs the role of curator.
    """
    row = get_object_or_404(project_for(request.auth, project, Role.CURATOR).improvements, pk=improvement)
    if change == "accept-better":
        if proposals.accept_better(improvement=row, user=request.auth, seconds=HEAD_START):
            raise Refused("Many are accepted, and there are more: ask again.")
        return row
    ACTIONS[change](improvement=row, user=request.auth)
    if row.is_active:
        enqueue(call_for_workers, row)
    return row


def _item(project: Project, improvement: int, pk: int) -> ImprovementItem:
    rows = ImprovementItem.objects.filter(improvement__project=project, improvement=improvement)
    return get_object_or_404(rows.select_related("conversation", "improvement__project", "proposal"), pk=pk)
