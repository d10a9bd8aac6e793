"""What a project judges its conversations by, besides the criteria that are built in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema

from datasets.access import project_for
from datasets.models import Criterion, Role
from datasets.services.criteria import save_criterion

from .shapes import PROJECT, ApiRequest, Archiving, Body, Line, Page, Place, Storable, page_of

router = Router(tags=["Criteria"])

CRITERIA = PROJECT + "/criteria"
CRITERION = CRITERIA + "/{int:criterion}"


class CriterionIn(Body):
    name: Line = Field(max_length=60, examples=["Tone"])
    description: Annotated[str, Storable] = Field(
        min_length=1,
        max_length=2_000,
        description="What is good and what is bad; the judge is told this word for word.",
        examples=["Warm and brief. Bad: cold, or longer than four sentences."],
    )
    weight: float = Field(1, ge=0.01, le=100, description="How much it counts where a run weighs its criteria.")
    needs_passages: bool = Field(False, description="Whether it only applies where the assistant was given passages.")


class CriterionOut(Schema):
    id: int
    name: str
    description: str
    weight: float
    needs_passages: bool
    archived: bool
    created: datetime


@router.get(CRITERIA, response=Page[CriterionOut])
def list_criteria(request: ApiRequest, project: str, place: Query[Place], archived: bool = False) -> dict[str, Any]:
    """The criteria of a project, oldest first."""
    return page_of(project_for(request.auth, project).criteria.filter(archived=archived), place)


@router.post(CRITERIA, response={201: CriterionOut})
def create_criterion(request: ApiRequest, project: str, body: CriterionIn) -> Criterion:
    """A criterion of the project's own. Needs the role of curator."""
    return save_criterion(project=project_for(request.auth, project, Role.CURATOR), **body.dict())


@router.get(CRITERION, response=CriterionOut)
def get_criterion(request: ApiRequest, project: str, criterion: int) -> Criterion:
    """One criterion."""
    return get_object_or_404(project_for(request.auth, project).criteria, pk=criterion)


@router.put(CRITERION, response=CriterionOut)
def save_criterion_again(request: ApiRequest, project: str, criterion: int, body: CriterionIn) -> Criterion:
    """Change a criterion; runs that were launched keep what it was. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    return save_criterion(project=row, criterion=get_object_or_404(row.criteria, pk=criterion), **body.dict())


@router.patch(CRITERION, response=CriterionOut)
def archive_criterion(request: ApiRequest, project: str, criterion: int, body: Archiving) -> Criterion:
    """Put a criterion away, or take it out again. Needs the role of curator."""
    row = get_object_or_404(project_for(request.auth, project, Role.CURATOR).criteria, pk=criterion)
    row.archived = body.archived
    row.save(update_fields=["archived"])
    return row
