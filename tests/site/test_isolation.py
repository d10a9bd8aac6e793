"""What the processes of pytest-xdist do not share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection

from datasets import pulse


@pytest.mark.django_db
def test_each_process_has_a_database_a_redis_database_and_files_of_its_own() -> None:
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if not worker:
        pytest.skip("One process shares with nobody.")
    number = 1 + int(worker.removeprefix("gw"))

    cache.set("whose", worker)

    assert connection.settings_dict["NAME"].endswith(f"_{worker}")
    assert pulse.board().client_info()["db"] == number
    assert pulse.board().exists(cache.make_key("whose"))
    assert Path(settings.MEDIA_ROOT).parent.name == worker
