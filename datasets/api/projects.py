"""Projects, and where one stands."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.db.models import F
from ninja import Field, Query, Router, Schema

from datasets.access import project_for
from datasets.models import Project, Role
from datasets.services import projects
from datasets.services.errors import Refused
from datasets.services.overview import overview_of

from .shapes import PROJECT, ApiRequest, Body, Line, Page, Place, Storable, page_of

router = Router(tags=["Projects"])


class ProjectIn(Body):
    name: Line = Field(examples=["Handbook"])
    description: Annotated[str, Storable] = Field("", max_length=5_000)


class ProjectChange(Body):
    """What is left out stays as it is."""

    name: Line | None = None
    description: Annotated[str, Storable] | None = Field(None, max_length=5_000)


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


@router.post("/projects", response={201: ProjectDetail})
def create_project(request: ApiRequest, body: ProjectIn) -> dict[str, Any]:
    """A project of your own, with an offline model and a starter prompt for either side. Its `slug` comes of its name."""
    made = projects.create_project(name=body.name, description=body.description, owner=request.auth)
    return _detail(project_for(request.auth, made.slug))


@router.get(PROJECT, response=ProjectDetail)
def get_project(request: ApiRequest, project: str) -> dict[str, Any]:
    """One project, with your role in it and how much it holds."""
    return _detail(project_for(request.auth, project))


@router.patch(PROJECT, response=ProjectDetail)
def change_project(request: ApiRequest, project: str, body: ProjectChange) -> dict[str, Any]:
    """Its address stays. Needs the role of owner."""
    row = project_for(request.auth, project, Role.OWNER)
    said = {"name": row.name, "description": row.description} | body.dict(exclude_none=True)
    projects.update_project(project=row, actor=request.auth, **said)
    return _detail(row)


@router.delete(PROJECT, response={204: None})
def delete_project(request: ApiRequest, project: str, name: str) -> None:
    """Everything in it goes. `name` has to be the project's name, and its corpora have to be deleted before. Needs the
    role of owner."""
    row = project_for(request.auth, project, Role.OWNER)
    if name != row.name:
        raise Refused("The project is not deleted: give its exact name as “name”.", field="name")
    projects.delete_project(project=row)


def _detail(row: Project) -> dict[str, Any]:
    columns = {name: getattr(row, name) for name in ("slug", "name", "description", "created")}
    return {**columns, "role": row.my_role, "counts": overview_of(row)}
