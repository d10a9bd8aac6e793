"""What every test stands on: the services first, then Django, whose settings read their addresses."""

from __future__ import annotations

import os

import django

from tests import services

services.provide()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "afterimage_web.settings")
django.setup()

pytest_plugins = ["tests.actors", "tests.fixtures_model_server"]
