"""The page that describes the API, and the description itself."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.fixture
def schema(client: Client) -> dict[str, Any]:
    return client.get("/api/v1/openapi.json").json()


def test_the_page_loads_nothing_from_elsewhere_and_runs_no_inline_script(client: Client) -> None:
    page = client.get("/api/v1/docs")
    html = page.content.decode()
    loaded = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert len(loaded) >= 3
    assert all(address.startswith("/static/") for address in loaded)
    assert all(finders.find(address.removeprefix("/static/")) for address in loaded)
    assert "'unsafe-inline'" not in page["Content-Security-Policy"]
    assert "'unsafe-eval'" not in page["Content-Security-Policy"]


def test_every_operation_says_what_it_does_and_how_it_refuses(schema: dict[str, Any]) -> None:
    operations = [operation for methods in schema["paths"].values() for operation in methods.values()]
    assert len(operations) > 30
    for operation in operations:
        assert operation["description"]
        assert operation["tags"]
        assert {"401", "403", "404", "422"} <= set(operation["responses"])
        assert operation["security"] == [{"TokenAuth": []}]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))


def test_every_reference_in_the_description_leads_somewhere(schema: dict[str, Any]) -> None:
    wanted = set(re.findall(r"#/components/schemas/([\w.]+)", str(schema)))
    assert wanted
    assert wanted <= set(schema["components"]["schemas"])
