"""The people of a project, and what they have done in it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema

from datasets.access import project_for
from datasets.models import Activity, Membership, Role
from datasets.services import projects

from .shapes import PROJECT, ApiRequest, Body, Page, Place, Storable, page_of

router = Router(tags=["Projects"])

MEMBERS = PROJECT + "/members"
MEMBER = MEMBERS + "/{int:member}"


class MemberIn(Body):
    username: Annotated[str, Storable] = Field(min_length=1, max_length=254, description="Or an e-mail address.")
    role: Role


class RoleIn(Body):
    role: Role


class MemberOut(Schema):
    id: int
    username: str = Field(alias="user.username")
    role: Role


class ActivityOut(Schema):
    id: int
    actor: str | None = Field(description="Null where a program of the installation did it.")
    text: str = Field(examples=["exported 200 conversations as Messages"])
    created: datetime

    @staticmethod
    def resolve_actor(row: Activity) -> str | None:
        return row.actor.username if row.actor else None


@router.get(MEMBERS, response=Page[MemberOut])
def list_members(request: ApiRequest, project: str, place: Query[Place]) -> dict[str, Any]:
    """Who is in a project, in the order in which they came."""
    return page_of(project_for(request.auth, project).memberships.select_related("user"), place)


@router.post(MEMBERS, response={201: MemberOut})
def add_member(request: ApiRequest, project: str, body: MemberIn) -> Membership:
    """Somebody who has an account here; adding a member again changes the role. Needs the role of owner."""
    row = project_for(request.auth, project, Role.OWNER)
    return projects.add_member(project=row, username=body.username.strip(), role=body.role, actor=request.auth)


@router.patch(MEMBER, response=MemberOut)
def change_member(request: ApiRequest, project: str, member: int, body: RoleIn) -> Membership:
    """A project keeps at least one owner. Needs the role of owner."""
    rows = project_for(request.auth, project, Role.OWNER).memberships.select_related("project", "user")
    return projects.change_role(membership=get_object_or_404(rows, pk=member), role=body.role, actor=request.auth)


@router.delete(MEMBER, response={204: None})
def remove_member(request: ApiRequest, project: str, member: int) -> None:
    """A project keeps at least one owner. Needs the role of owner."""
    rows = project_for(request.auth, project, Role.OWNER).memberships.select_related("project", "user")
    projects.remove_member(membership=get_object_or_404(rows, pk=member), actor=request.auth)


@router.get(PROJECT + "/activities", response=Page[ActivityOut])
def list_activities(request: ApiRequest, project: str, place: Query[Place]) -> dict[str, Any]:
    """Who did what, newest first."""
    rows = project_for(request.auth, project).activities.select_related("actor")
    return page_of(rows, place, newest_first=True)
