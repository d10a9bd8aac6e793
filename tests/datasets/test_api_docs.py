"""The page that describes the API, and the description itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import openapi_spec_validator
import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode

from afterimage_web.api import api

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
    assert all(finders.find(address.partition("?")[0].removeprefix("/static/")) for address in loaded)
    assert "'unsafe-inline'" not in page["Content-Security-Policy"]
    assert "'unsafe-eval'" not in page["Content-Security-Policy"]


def test_every_operation_says_what_it_does_and_how_it_refuses(schema: dict[str, Any]) -> None:
    operations = [operation for methods in schema["paths"].values() for operation in methods.values()]
    assert len(operations) > 30
    for operation in operations:
        assert operation["description"]
        assert operation["tags"]
        assert {"401", "403", "404", "409", "422"} <= set(operation["responses"])
        assert operation["security"] == [{"TokenAuth": []}]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))


def test_the_description_is_valid_openapi(schema: dict[str, Any]) -> None:
    openapi_spec_validator.validate(schema)
    del schema["info"]["title"]
    with pytest.raises(OpenAPIValidationError, match="title"):
        openapi_spec_validator.validate(schema)


def test_every_reference_in_the_description_leads_somewhere(schema: dict[str, Any]) -> None:
    wanted = set(re.findall(r"#/components/schemas/([\w.]+)", str(schema)))
    assert wanted
    assert wanted <= set(schema["components"]["schemas"])


def test_what_tells_kinds_of_objects_apart_is_asked_for(schema: dict[str, Any]) -> None:
    components = schema["components"]["schemas"]
    unions = [part for part in parts_of(components) if "discriminator" in part]
    assert len(unions) > 3
    for union in unions:
        tag = union["discriminator"]["propertyName"]
        for kind in union["discriminator"]["mapping"].values():
            assert tag in components[kind.rpartition("/")[2]]["required"]


def test_every_object_is_described_by_its_own_fields(schema: dict[str, Any]) -> None:
    components = schema["components"]["schemas"]
    assert {"kind", "gap", "strategy"} <= components["Pairs"]["properties"].keys()
    assert {"kind", "form"} <= components["Rows"]["properties"].keys()
    open_ones = [name for name, part in components.items() if part.get("type") == "object" and "properties" not in part]
    assert open_ones == []


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_no_two_objects_have_one_name(mode: JsonSchemaMode) -> None:
    """In the description the one would stand for the other."""
    found: dict[str, str] = {}
    for model in models_of_operations(mode):
        for name, part in model.model_json_schema(mode=mode).get("$defs", {}).items():
            assert found.setdefault(name, json.dumps(part, sort_keys=True)) == json.dumps(part, sort_keys=True), name


def models_of_operations(mode: str) -> Iterator[type[BaseModel]]:
    operations = (
        operation
        for _, router in api._routers
        for view in router.path_operations.values()
        for operation in view.operations
    )
    for operation in operations:
        models = operation.models if mode == "validation" else operation.response_models.values()
        yield from (model for model in models if isinstance(model, type) and issubclass(model, BaseModel))


def parts_of(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in it."""
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts_of(one)
