"""Tools: functions that assistants of a project may ask for."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema

from datasets.access import project_for
from datasets.models import Role, Tool
from datasets.services.errors import Refused
from datasets.services.tools import add_tools, save_tool

from .shapes import PROJECT, ApiRequest, Archiving, Body, Page, Place, Storable, StorableJson, page_of

router = Router(tags=["Tools"])

TOOLS = PROJECT + "/tools"
TOOL = TOOLS + "/{int:tool}"


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


class ToolsIn(Body):
    text: Annotated[str, Storable] = Field(
        max_length=5_000_000, description="Functions as a JSON schema or a list of such, or an OpenAPI document."
    )
    replace: bool = Field(False, description="Whether tools of the same names are replaced; else they are problems.")


class ToolProblem(Schema):
    name: str
    sentence: str


class ToolsOut(Schema):
    """What became of the functions, by name."""

    new: list[str]
    changed: list[str]
    same: list[str]
    problems: list[ToolProblem]


@router.get(TOOLS, response=Page[ToolOut])
def list_tools(request: ApiRequest, project: str, place: Query[Place], archived: bool = False) -> dict[str, Any]:
    """The tools of a project, oldest first."""
    return page_of(project_for(request.auth, project).tools.filter(archived=archived), place)


@router.post(TOOLS, response={201: ToolOut})
def create_tool(request: ApiRequest, project: str, body: ToolIn) -> Tool:
    """A tool of a name that no other has. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    return save_tool(project=row, actor=request.auth, **body.dict())


@router.get(TOOL, response=ToolOut)
def get_tool(request: ApiRequest, project: str, tool: int) -> Tool:
    """One tool."""
    return get_object_or_404(project_for(request.auth, project).tools, pk=tool)


@router.put(TOOL, response=ToolOut)
def change_tool(request: ApiRequest, project: str, tool: int, body: ToolIn) -> Tool:
    """Runs that were launched keep what it was. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    return save_tool(project=row, actor=request.auth, tool=get_object_or_404(row.tools, pk=tool), **body.dict())


@router.patch(TOOL, response=ToolOut)
def archive_tool(request: ApiRequest, project: str, tool: int, body: Archiving) -> Tool:
    """Put a tool away, or take it out again. Needs the role of curator."""
    row = get_object_or_404(project_for(request.auth, project, Role.CURATOR).tools, pk=tool)
    row.archived = body.archived
    row.save(update_fields=["archived", "updated"])
    return row


@router.post(TOOLS + "/import", response=ToolsOut)
def import_tools(request: ApiRequest, project: str, body: ToolsIn) -> dict[str, Any]:
    """Add every function of a text, whose problems keep no other out. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    try:
        added = add_tools(project=row, text=body.text, replace=body.replace, actor=request.auth)
    except Refused as refusal:
        raise Refused(str(refusal), field="text") from refusal
    problems = [{"name": name, "sentence": sentence} for name, sentence in added.problems]
    return {"new": added.new, "changed": added.changed, "same": added.same, "problems": problems}
