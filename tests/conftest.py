"""What every test stands on: the services first, then Django, whose settings read their addresses."""

from __future__ import annotations

import secrets

import django
import pytest
from django.conf import settings
from django.db import connection
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests import services

if settings.configured:
    raise pytest.UsageError(
        "Unset DJANGO_SETTINGS_MODULE: settings that are read before this file name other services."
    )
services.provide()
with (
    pytest.MonkeyPatch.context() as environment
):  # not for the processes of pytest-xdist, which would read it too early
    environment.setenv("DJANGO_SETTINGS_MODULE", "afterimage_web.settings")
    django.setup()
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the slow ones are slow on purpose

pytest_plugins = ["tests.actors", "tests.fixtures_model_server", "tests.fixtures_foreign_qdrant"]


class Scheduling(LoadScopeScheduling):
    """For pytest-xdist: tests of faults stay together by file, since those of a file share a worker, and begin first."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.split("::")[0] if nodeid.startswith("tests/faults/") else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that no process of pytest-xdist is left with it when the others have ended."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> None:
    """Corpora are numbered from a random number on: collections are named after them, and databases share one Qdrant."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(f"ALTER SEQUENCE datasets_corpus_id_seq RESTART WITH {1 + secrets.randbelow(10**9)}")
