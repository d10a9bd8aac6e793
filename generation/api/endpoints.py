"""Endpoints: which model servers a project's recipes can name. Their keys never leave the server."""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from ninja import Field, Query, Router, Schema

from datasets.access import project_for
from datasets.api.shapes import PROJECT, ApiRequest, Page, Place, page_of

router = Router(tags=["Endpoints"])


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
