"""Endpoints: which model servers a project's recipes can name. Their keys never leave the server."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Count
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema

from datasets.access import project_for
from datasets.api.shapes import PROJECT, ApiRequest, Page, Place, one_of, page_of
from generation.services.servers.keys import KeyStanding, standings

router = Router(tags=["Endpoints"])


class KeyUseOut(Schema):
    calls_hour: int = Field(description="Calls in this hour of UTC, of all workers.")
    calls_day: int
    rests_until: datetime | None


class KeyOut(Schema):
    id: int = Field(alias="key.pk")
    name: str = Field(alias="key.name")
    hint: str = Field(alias="key.hint", description="The last characters of the key; empty for a short one.")
    active: bool = Field(alias="key.active")
    hourly_limit: int | None = Field(alias="key.hourly_limit")
    daily_limit: int | None = Field(alias="key.daily_limit")
    state: str = Field(json_schema_extra=one_of(["off", "refused", "resting", "spent", "ready"]))
    refused: datetime | None = Field(alias="key.refused", description="When the server refused the key, if it did.")
    refusal: str = Field(alias="key.refusal", description="What the server said then.")
    use: KeyUseOut | None = Field(description="null when it cannot be read just now.")


class EndpointOut(Schema):
    id: int
    name: str
    preset: str
    base_url: str
    chat_model: str = Field(description="The model used unless a recipe names another.")
    embedding_model: str
    offline: bool = Field(alias="is_offline", description="Whether it is the offline model, which calls no server.")
    keys: int = Field(alias="key_total", description="How many API keys are stored for it.")


@router.get(PROJECT + "/endpoints", response=Page[EndpointOut])
def list_endpoints(request: ApiRequest, project: str, place: Query[Place]) -> dict[str, Any]:
    """The endpoints of a project, oldest first. Owners set them up on their page."""
    return page_of(project_for(request.auth, project).endpoints.annotate(key_total=Count("keys")), place)


@router.get(PROJECT + "/endpoints/{int:endpoint}/keys", response=list[KeyOut])
def list_endpoint_keys(request: ApiRequest, project: str, endpoint: int) -> list[KeyStanding]:
    """The keys of an endpoint, by their last characters only, and what workers have made of them."""
    endpoints = project_for(request.auth, project).endpoints
    return standings(get_object_or_404(endpoints, pk=endpoint).keys.all())
