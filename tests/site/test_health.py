"""What load balancers and container health checks are told."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


def test_a_server_whose_parts_all_answer_is_ready() -> None:
    assert Client().get("/health/ready").json() == {"status": "ok", "failing": []}


def test_a_part_that_does_not_answer_is_named(settings: Any) -> None:
    settings.QDRANT_URL = "unix:///nowhere/vectors.sock"
    answer = Client().get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["failing"] == ["vectors"]
    assert Client().get("/health/live").status_code == 200
