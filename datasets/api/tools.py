"""Tools: functions that assistants of a project may ask for."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema

from datasets.access import project_for
from datasets.models import Role, Tool
from datasets.services.tools import save_tool

from .shapes import PROJECT, ApiRequest, Body, Page, Place, Storable, StorableJson, page_of

router = Router(tags=["Tools"])

TOOLS = PROJECT + "/tools"


class ToolIn(Body):
    name: Annotated[str, Storable] = Field(max_length=64, examples=["look_up_weather"])
    description: Annotated[str, Storable] = Field("", max_length=5_000, description="What it does and when to use it.")
    parameters: Annotated[dict[str, Any], StorableJson] = Field(
        {},
        description="The JSON schema of its arguments, an object's.",
        examples=[{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}],
    )


class ToolOut(Schema):
    id: int
    name: str
    description: str
    parameters: dict[str, Any]
    archived: bool
    created: datetime
    updated: datetime


@router.get(TOOLS, response=Page[ToolOut])
def list_tools(request: ApiRequest, project: str, place: Query[Place], archived: bool = False) -> dict[str, Any]:
    """The tools of a project, oldest first."""
    return page_of(project_for(request.auth, project).tools.filter(archived=archived), place)


@router.post(TOOLS, response={201: ToolOut})
def create_tool(request: ApiRequest, project: str, body: ToolIn) -> Tool:
    """A tool of a name that no other has. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    return save_tool(project=row, actor=request.auth, **body.dict())


@router.get(TOOLS + "/{int:tool}", response=ToolOut)
def get_tool(request: ApiRequest, project: str, tool: int) -> Tool:
    """One tool."""
    return get_object_or_404(project_for(request.auth, project).tools, pk=tool)
