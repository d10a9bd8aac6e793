"""What every test stands on: the services first, then Django, whose settings read their addresses."""

from __future__ import annotations

import secrets

import django
import pytest
from django.conf import settings
from django.db import connection

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


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> None:
    """Corpora are numbered from a random number on: collections are named after them, and databases share one Qdrant."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(f"ALTER SEQUENCE datasets_corpus_id_seq RESTART WITH {1 + secrets.randbelow(10**9)}")
