"""Prompts of both sides."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema

from datasets.access import project_for
from datasets.models import Prompt, PromptRole, Role
from datasets.services.prompts import save_prompt

from .shapes import PROJECT, ApiRequest, Archiving, Body, Line, Page, Place, Storable, page_of

prompts = Router(tags=["Prompts"])

PROMPTS = PROJECT + "/prompts"
PROMPT = PROMPTS + "/{int:prompt}"


class PromptText(Body):
    text: Annotated[str, Storable] = Field(min_length=1, max_length=50_000)
    note: Annotated[str, Storable] = Field("", max_length=200, description="What changed, in a few words.")


class PromptIn(PromptText):
    name: Line = Field(examples=["Helpful expert"])
    role: PromptRole


class PromptVersionOut(Schema):
    number: int
    text: str
    note: str
    created: datetime


class PromptOut(Schema):
    id: int
    name: str
    role: PromptRole
    archived: bool
    created: datetime
    current: PromptVersionOut


class PromptDetail(PromptOut):
    versions: list[PromptVersionOut] = Field(description="Newest first.")


@prompts.get(PROMPTS, response=Page[PromptOut])
def list_prompts(
    request: ApiRequest, project: str, place: Query[Place], role: PromptRole | None = None, archived: bool = False
) -> dict[str, Any]:
    """The prompts of a project, oldest first."""
    rows = project_for(request.auth, project).prompts.filter(archived=archived)
    rows = rows if role is None else rows.filter(role=role)
    return page_of(rows.select_related("current"), place)


@prompts.post(PROMPTS, response={201: PromptOut})
def create_prompt(request: ApiRequest, project: str, body: PromptIn) -> Prompt:
    """A prompt with its first version. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    return save_prompt(project=row, author=request.auth, **body.dict())


@prompts.get(PROMPT, response=PromptDetail)
def get_prompt(request: ApiRequest, project: str, prompt: int) -> Prompt:
    """One prompt with every version of it."""
    rows = project_for(request.auth, project).prompts.select_related("current")
    return get_object_or_404(rows.prefetch_related("versions"), pk=prompt)


@prompts.post(PROMPT + "/versions", response={201: PromptOut})
def add_prompt_version(request: ApiRequest, project: str, prompt: int, body: PromptText) -> Prompt:
    """A new version, which runs use from now on; the same text again makes none. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    old = get_object_or_404(row.prompts, pk=prompt)
    return save_prompt(project=row, prompt=old, name=old.name, role=old.role, author=request.auth, **body.dict())


@prompts.patch(PROMPT, response=PromptOut)
def archive_prompt(request: ApiRequest, project: str, prompt: int, body: Archiving) -> Prompt:
    """Put a prompt away, or take it out again. Needs the role of curator."""
    rows = project_for(request.auth, project, Role.CURATOR).prompts.select_related("current")
    row = get_object_or_404(rows, pk=prompt)
    row.archived = body.archived
    row.save(update_fields=["archived"])
    return row
