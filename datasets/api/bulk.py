"""One decision, or one label, for everything that a filter matches; and its undoing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.db import transaction
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema
from pydantic import ConfigDict

from datasets import tasks
from datasets.access import project_for
from datasets.models import BulkAction, Role, Status
from datasets.services.curating import bulk as bulks
from datasets.services.curating import conversations

from .conversations import CONVERSATIONS
from .exports import StrictFilter
from .shapes import ApiRequest, Body, Named, Page, Place, Storable, enqueue, one_of, page_of

router = Router(tags=["Conversations"])

ACTIONS = CONVERSATIONS + "/bulk"
ACTION = ACTIONS + "/{int:bulk}"


class BulkIn(Body):
    """Either a decision or a label."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"filter": {"score_min": 0.9, "status": "generated"}, "decision": "approved"}]}
    )

    filter: StrictFilter = Field(StrictFilter(), description="Without a field: everything. `pick` names them.")
    decision: Status | None = Field(None, description="`generated` sets them back to review.")
    label: Annotated[str, Storable] = Field("", description="Made if the project has none of that name.")


class BulkOut(Schema):
    id: int
    filter: dict[str, Any]
    decision: str = Field(description="Empty where it puts a label.")
    label: Named | None
    state: str = Field(json_schema_extra=one_of(BulkAction.State.values))
    total: int = Field(
        description="Conversations to change, counted when it was asked for; those that came later stay."
    )
    done: int
    created: datetime


@router.get(ACTIONS, response=Page[BulkOut])
def list_bulk_actions(request: ApiRequest, project: str, place: Query[Place]) -> dict[str, Any]:
    """Decisions and labels on many conversations, newest first."""
    rows = project_for(request.auth, project).bulk_actions.select_related("label")
    return page_of(rows, place, newest_first=True)


@router.post(ACTIONS, response={201: BulkOut})
def decide_on_many(request: ApiRequest, project: str, body: BulkIn) -> BulkAction:
    """Have a worker decide on, or label, whatever matches now and is not so already. Needs the role of annotator."""
    row = project_for(request.auth, project, Role.ANNOTATOR)
    with transaction.atomic():
        label = conversations.label_named(project=row, name=body.label) if body.label else None
        action = bulks.start_bulk(
            project=row,
            actor=request.auth,
            filter=body.filter,
            decision=body.decision or "",
            label=label,
            up_to=bulks.newest_id(row),
        )
    enqueue(tasks.carry_on_bulk.delay, action.pk)
    return action


@router.get(ACTION, response=BulkOut)
def get_bulk_action(request: ApiRequest, project: str, bulk: int) -> BulkAction:
    """How far it has come: ask again until its state is `done`, or `undone`."""
    rows = project_for(request.auth, project).bulk_actions.select_related("label")
    return get_object_or_404(rows, pk=bulk)


@router.post(ACTION + "/undo", response=BulkOut)
def undo_bulk_action(request: ApiRequest, project: str, bulk: int) -> BulkAction:
    """Take it back, once it is done; what somebody decided or labelled since stays. Needs the role of annotator."""
    rows = project_for(request.auth, project, Role.ANNOTATOR).bulk_actions.select_related("label")
    action = get_object_or_404(rows, pk=bulk)
    bulks.start_undo(action=action)
    action.refresh_from_db()
    enqueue(tasks.carry_on_bulk.delay, action.pk)
    return action
