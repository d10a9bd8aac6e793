"""Projects, and where one stands."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import F
from ninja import Field, Query, Router, Schema

from datasets.access import project_for
from datasets.models import Project, Role
from datasets.services.overview import overview_of

from .shapes import PROJECT, ApiRequest, Page, Place, page_of

router = Router(tags=["Projects"])


class ProjectOut(Schema):
    slug: str = Field(description="The project's name in every address.", examples=["handbook"])
    name: str
    description: str
    role: Role = Field(description="What you may do in it; each role includes the ones before it.")
    created: datetime


class Counts(Schema):
    corpora: int
    files: int
    passages: int
    personas: int
    prompts: int
    runs: int
    conversations: int
    waiting: int = Field(description="Conversations that nobody has decided on.")
    approved: int
    exports: int


class ProjectDetail(ProjectOut):
    counts: Counts


@router.get("/projects", response=Page[ProjectOut])
def list_projects(request: ApiRequest, place: Query[Place]) -> dict[str, Any]:
    """The projects that you are a member of."""
    rows = Project.objects.visible_to(request.auth).annotate(role=F("memberships__role"))
    return page_of(rows, place)


@router.get(PROJECT, response=ProjectDetail)
def get_project(request: ApiRequest, project: str) -> dict[str, Any]:
    """One project, with your role in it and how much it holds."""
    row = project_for(request.auth, project)
    columns = {name: getattr(row, name) for name in ("slug", "name", "description", "created")}
    return {**columns, "role": row.my_role, "counts": overview_of(row)}
