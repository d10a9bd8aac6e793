"""For load balancers, container health checks and whoever watches a server. See docs/operations.md."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from datasets import pulse
from datasets.index import connect

PATIENCE = 5.0
"""Seconds that the index has to answer."""


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """The web process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """Everything that pages need works; 503 and the names of the parts that do not, otherwise."""
    return _told(failing_parts())


@require_safe
def work(request: HttpRequest) -> HttpResponse:
    """Workers listen to every queue; 503 and the names of the queues that nobody listens to, otherwise."""
    return _told([queue for queue in queues() if not pulse.listens(queue)])


ANSWERS = {"/health/live": live, "/health/ready": ready, "/health/work": work}


def answer_checks(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Before everything else: a load balancer asks by an IP address, which is no host that the site answers to."""

    def middleware(request: HttpRequest) -> HttpResponse:
        return ANSWERS.get(request.path, get_response)(request)

    return middleware


def queues() -> list[str]:
    """The queues that tasks are sent to."""
    return sorted({route["queue"] for route in settings.CELERY_TASK_ROUTES.values()})


def failing_parts() -> list[str]:
    """Of "database", "redis", "vectors" and "files", those that do not work now."""
    checks: dict[str, Callable[[], object]] = {
        "database": _database,
        "redis": pulse.board().ping,
        "vectors": _vectors,
        "files": _files,
    }
    return [name for name, check in checks.items() if not _passes(check)]


def _told(failing: list[str]) -> JsonResponse:
    content = {"status": "unavailable" if failing else "ok", "failing": failing}
    return JsonResponse(content, status=503 if failing else 200)


def _passes(check: Callable[[], object]) -> bool:
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
        async with asyncio.timeout(PATIENCE), connect(settings.QDRANT_URL, settings.QDRANT_API_KEY) as client:
            await client.get_collections()

    asyncio.run(ask())


def _files() -> None:
    """A block can be written where uploads go: a full disk still makes empty files."""
    media = Path(settings.MEDIA_ROOT)
    with tempfile.TemporaryFile(dir=media if media.exists() else settings.DATA_DIR, buffering=0) as file:
        if file.write(bytes(4096)) != 4096:
            raise OSError("The disk is full.")
