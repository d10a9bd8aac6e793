"""What load balancers, container health checks and people are told when a part of the server is away."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import redis
from django.contrib.auth.models import AnonymousUser
from django.db import OperationalError, connection
from django.test import Client, RequestFactory
from django.urls import get_resolver
from kombu.exceptions import OperationalError as QueueError

from afterimage_web import health, troubles
from datasets import pulse

pytestmark = pytest.mark.django_db


def test_a_server_whose_parts_all_answer_is_ready() -> None:
    assert Client().get("/health/ready").json() == {"status": "ok", "failing": []}


def test_a_part_that_does_not_answer_is_named(settings: Any) -> None:
    settings.QDRANT_URL = "unix:///nowhere/vectors.sock"
    answer = Client().get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["failing"] == ["vectors"]
    assert Client().get("/health/live").status_code == 200


def test_a_server_that_cannot_keep_uploads_is_not_ready(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = settings.DATA_DIR = tmp_path / "gone"
    assert Client().get("/health/ready").json()["failing"] == ["files"]


def test_a_disk_without_room_is_not_ready(settings: Any) -> None:
    settings.MEDIA_ROOT = Path("/sys/kernel")  # where nothing can be written, whoever asks
    assert Client().get("/health/ready").json()["failing"] == ["files"]


def test_a_balancer_may_ask_by_an_address_and_for_the_head_alone() -> None:
    assert Client().head("/health/live", headers={"host": "10.1.2.3"}).status_code == 200
    assert Client().get("/health/ready", headers={"host": "10.1.2.3"}).status_code == 200
    assert Client().post("/health/live").status_code == 405
    assert Client().get("/login/", headers={"host": "10.1.2.3"}).status_code == 400


def test_queues_that_no_worker_listens_to_are_named() -> None:
    for queue in health.queues():
        pulse.board().delete(f"pulse:{queue}")
    pulse.beat(["press"])
    answer = Client().get("/health/work")
    assert (answer.status_code, answer.json()["failing"]) == (503, ["default"])
    pulse.beat(["default"])
    assert Client().get("/health/work").json() == {"status": "ok", "failing": []}


def caught(error: Exception) -> Exception:
    """As code raises it that meets `error` while it does something else."""
    try:
        try:
            raise error
        except Exception as cause:
            raise RuntimeError("Saving failed.") from cause
    except RuntimeError as raised:
        return raised


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), troubles.DISK),
        (OperationalError("connection to server failed"), troubles.DATABASE),
        (redis.ConnectionError("refused"), troubles.QUEUE),
        (redis.TimeoutError("slow"), troubles.QUEUE),
        (QueueError("refused"), troubles.QUEUE),
        (ValueError("a mistake of ours"), ""),
        (PermissionError(errno.EACCES, "Permission denied"), ""),
    ],
)
def test_people_are_told_which_part_is_away(error: Exception, sentence: str) -> None:
    assert troubles.what_is_away(caught(error)) == sentence


def test_a_statement_that_took_too_long_is_no_sign_that_the_database_is_away() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 1")
        with pytest.raises(OperationalError) as refused:
            cursor.execute("SELECT pg_sleep(5)")
    assert troubles.what_is_away(refused.value) == ""


@pytest.mark.parametrize(("path", "kind"), [("/p/any/", "text/html"), ("/api/v1/projects", "application/json")])
def test_what_is_away_is_said_to_people_and_to_programs(path: str, kind: str) -> None:
    request = RequestFactory().get(path)
    request.user = AnonymousUser()
    try:
        raise OSError(errno.ENOSPC, "No space left on device")
    except OSError:
        answer = troubles.server_error(request)
    assert answer.status_code == 503
    assert answer["Content-Type"].startswith(kind)
    assert "disk is full" in answer.content.decode()


def test_an_error_of_ours_stays_one() -> None:
    assert get_resolver().resolve_error_handler(500) is troubles.server_error
    try:
        raise ValueError("a mistake of ours")
    except ValueError:
        answer = troubles.server_error(RequestFactory().get("/p/any/"))
    assert answer.status_code == 500
    assert "Something broke" in answer.content.decode()
