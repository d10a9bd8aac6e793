"""The HTTP API under /api/v1: the same services as the pages, for programs with a token."""

from __future__ import annotations

from ninja import NinjaAPI

from datasets.api.auth import TokenAuth

api = NinjaAPI(
    title="AfterImage Web",
    version="1",
    description="Send `Authorization: Bearer <token>`; make a token on your account page.",
    auth=TokenAuth(),
    urls_namespace="api",
)
api.add_router("/", "datasets.api.router")
api.add_router("/", "generation.api.router")
