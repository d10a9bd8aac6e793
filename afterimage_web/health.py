"""For load balancers and container health checks."""

from __future__ import annotations

import asyncio

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET

from datasets import pulse
from datasets.index import connect


@require_GET
def live(request: HttpRequest) -> JsonResponse:
    """The web process answers."""
    return JsonResponse({"status": "ok"})


@require_GET
def ready(request: HttpRequest) -> JsonResponse:
    """Everything that a page needs answers; 503 and the names of the parts that do not, otherwise."""
    checks = {"database": _database, "redis": pulse.board().ping, "vectors": _vectors}
    failing = [name for name, check in checks.items() if not _passes(check)]
    return JsonResponse(
        {"status": "unavailable" if failing else "ok", "failing": failing}, status=503 if failing else 200
    )


def _passes(check) -> bool:
    try:
        check()
    except Exception:  # whatever a driver raises, the part is not ready
        return False
    return True


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _vectors() -> None:
    async def ask() -> None:
        client = connect(settings.QDRANT_URL, settings.QDRANT_API_KEY)
        try:
            await client.get_collections()
        finally:
            await client.close()

    asyncio.run(ask())
