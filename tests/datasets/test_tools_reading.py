"""Functions as people paste them: told apart, made alike, and refused one by one."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from datasets.formats.functions import Found, Unreadable, read_functions

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
BARE = {"name": "weather", "description": "How warm it is.", "parameters": SCHEMA}


def read(value: Any) -> Found:
    return read_functions(json.dumps(value))


def one(value: Any) -> Any:
    found = read(value)
    assert found.problems == []
    [tool] = found.tools
    return tool


@pytest.mark.parametrize(
    "pasted",
    [
        BARE,
        [BARE],
        {"type": "function", "function": BARE},
        {"type": "function", **BARE},
        [{"type": "function", "function": BARE, "strict": True}],
        {"name": "weather", "description": "How warm it is.", "input_schema": SCHEMA},
        {"name": "weather", "description": "How warm it is.", "inputSchema": SCHEMA, "annotations": {}},
        {"tools": [{"name": "weather", "description": "How warm it is.", "inputSchema": SCHEMA}]},
        {"jsonrpc": "2.0", "result": {"tools": [{**BARE}], "nextCursor": None}},
        {"functions": [BARE]},
    ],
)
def test_every_way_of_writing_a_function_gives_the_same_tool(pasted: Any) -> None:
    assert one(pasted).model_dump() == BARE


def test_yaml_is_read_as_well() -> None:
    [tool] = read_functions(yaml.safe_dump([BARE])).tools
    assert tool.name == "weather"


def test_a_function_without_parameters_takes_none() -> None:
    assert one({"name": "now"}).parameters == {"type": "object", "properties": {}}
    assert one({"name": "now", "parameters": {}}).parameters == {"type": "object", "properties": {}}


def test_wrong_functions_have_a_sentence_each_and_the_others_come_in() -> None:
    wrong: list[tuple[Any, str]] = [
        (7, "no JSON object"),
        ({"description": "nameless"}, "no name"),
        ({"name": "has space"}, "is no name of a function"),
        ({"name": "x" * 65}, "is no name of a function"),
        ({"name": "a", "parameters": []}, "parameters are no JSON object"),
        ({"name": "b", "parameters": {"type": "array"}}, "The top of its parameters is no object"),
        (
            {"name": "c", "parameters": {"type": "object", "properties": {"x": {"type": "strin"}}}},
            "at properties.x.type",
        ),
        ({"name": "d", "parameters": {"type": "object", "required": "x"}}, "no JSON schema"),
        ({"name": "e", "parameters": {"properties": {"x": {"$ref": "http://x/y.json"}}}}, "nothing is fetched"),
        ({"name": "f", "parameters": {"properties": {"x": {"$ref": "#/$defs/no"}}}}, "is not there"),
        ({"name": "g", "description": ["x"]}, "description is no text"),
        ({"name": "h", "description": "x" * 6_000}, "more than 5,000"),
        ({"name": "i", "parameters": {"description": "x" * 100_001}}, "longer than 50,000"),
        (BARE, "is there twice"),
    ]
    found = read([BARE, *[item for item, _ in wrong], {"name": "now"}])
    assert [tool.name for tool in found.tools] == ["weather", "now"]
    assert len(found.problems) == len(wrong)
    for (_, sentence), (_, words) in zip(found.problems, wrong, strict=True):
        assert words in sentence
    assert [where for where, _ in found.problems][:3] == ["function 2", "function 3", "has space"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{oops", "It is not JSON"),
        ("- a\n b: [", "neither JSON nor YAML"),
        ("[]", "no function"),
        ("hello", "no function"),
        ('{"swagger": "2.0", "paths": {}}', "Swagger 2"),
        ('{"openapi": "3.0.0"}', "no paths"),
        ('{"openapi": "3.0.0", "paths": {}}', "no function"),
        ("[" * 100_000, "nested too deeply"),
        ("a: &a [x, x]\nb: *a", "uses aliases"),
        ("!!python/object/apply:os.system [ls]", "neither JSON nor YAML"),
        ("x" * 1_000_001, "write it as JSON"),
        ("[" + "x" * 5_000_001, "in several parts"),
    ],
)
def test_a_text_without_functions_is_refused_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(Unreadable, match=sentence):
        read_functions(text)


def test_references_inside_the_parameters_stay() -> None:
    schema = {"type": "object", "properties": {"x": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"type": "string"}}}
    assert one({"name": "a", "parameters": schema}).parameters == schema


def test_a_property_called_ref_is_no_reference() -> None:
    schema = {"type": "object", "properties": {"$ref": {"type": "string"}}}
    assert one({"name": "a", "parameters": schema}).parameters == schema


# -- OpenAPI ------------------------------------------------------------------------------------------------------------

PETS = """
openapi: 3.0.3
info: {title: Pets, version: 2024-01-01}
paths:
  /pets/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: integer, exclusiveMinimum: true, minimum: 0}}
    get:
      operationId: pets.show
      summary: One pet.
      description: With its owner.
      parameters:
        - $ref: '#/components/parameters/Verbose'
        - {name: Authorization, in: header, schema: {type: string}}
        - {name: session, in: cookie, schema: {type: string}}
    put:
      summary: Change a pet.
      parameters:
        - {name: id, in: path, required: true, description: Which one, schema: {type: string}}
      requestBody:
        required: true
        content:
          application/json; charset=utf-8:
            schema: {$ref: '#/components/schemas/Pet'}
  /tags:
    post:
      operationId: setTags
      requestBody:
        content:
          application/json:
            schema: {type: array, items: {type: string}}
  /both:
    post:
      operationId: both
      parameters:
        - {name: name, in: query, schema: {type: string}}
      requestBody:
        required: true
        content:
          application/json:
            schema:
              allOf:
                - {$ref: '#/components/schemas/Named'}
                - {type: object, properties: {age: {type: integer}}, required: [age]}
  /outside:
    get:
      operationId: outside
      parameters: [{$ref: 'https://example.com/p.yaml#/x'}]
  /missing:
    get:
      operationId: missing
      parameters: [{$ref: '#/components/parameters/Nowhere'}]
  /circle:
    get:
      operationId: circle
      parameters: [{$ref: '#/components/parameters/A'}]
components:
  parameters:
    Verbose: {name: verbose, in: query, description: All of it, schema: {type: boolean, example: true}}
    A: {$ref: '#/components/parameters/B'}
    B: {$ref: '#/components/parameters/A'}
  schemas:
    Named: {type: object, properties: {name: {type: string}}, required: [name]}
    Pet:
      type: object
      required: [name, id]
      properties:
        id: {type: integer, readOnly: true}
        name: {type: string, nullable: true}
        example: {type: string, example: x}
        children: {type: array, items: {$ref: '#/components/schemas/Pet'}}
"""


@pytest.fixture(scope="module")
def pets() -> Found:
    return read_functions(PETS)


def tool(found: Found, name: str) -> Any:
    return next(tool for tool in found.tools if tool.name == name)


def test_each_operation_becomes_a_tool_and_wrong_ones_a_sentence(pets: Found) -> None:
    assert [tool.name for tool in pets.tools] == ["pets_show", "put_pets_id", "setTags", "both"]
    assert [where for where, _ in pets.problems] == ["GET /outside", "GET /missing", "GET /circle"]
    for (_, sentence), words in zip(
        pets.problems, ("nothing is fetched", "not in the document", "circle"), strict=True
    ):
        assert words in sentence
    for one in pets.tools:
        Draft202012Validator.check_schema(one.parameters)


def test_parameters_of_path_and_operation_are_the_arguments(pets: Found) -> None:
    show = tool(pets, "pets_show")
    assert show.description == "One pet.\n\nWith its owner."
    assert show.parameters == {
        "type": "object",
        "properties": {
            "id": {"type": "integer", "exclusiveMinimum": 0},
            "verbose": {"description": "All of it", "type": "boolean"},
        },
        "required": ["id"],
    }


def test_the_properties_of_a_json_body_are_arguments_too(pets: Found) -> None:
    change = tool(pets, "put_pets_id").parameters
    assert change["properties"]["id"] == {"description": "Which one", "type": "string"}
    assert change["properties"]["name"] == {"type": ["string", "null"]}
    assert change["properties"]["example"] == {"type": "string"}
    assert change["required"] == ["id", "name"]
    assert tool(pets, "setTags").parameters == {
        "type": "object",
        "properties": {"body": {"type": "array", "items": {"type": "string"}}},
    }


def test_a_schema_that_contains_itself_ends_where_it_would_begin_again(pets: Found) -> None:
    assert tool(pets, "put_pets_id").parameters["properties"]["children"] == {"type": "array", "items": {}}


def test_parts_of_a_body_are_put_together_and_names_kept_apart(pets: Found) -> None:
    both = tool(pets, "both").parameters
    assert set(both["properties"]) == {"name", "body_name", "age"}
    assert both["required"] == ["body_name", "age"]


def test_references_that_grow_without_end_are_refused() -> None:
    schemas: dict[str, Any] = {"S0": {"type": "string"}}
    for n in range(1, 25):
        below = {"$ref": f"#/components/schemas/S{n - 1}"}
        schemas[f"S{n}"] = {"type": "object", "properties": {"a": below, "b": below}}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/S24"}}}}
    document = {
        "openapi": "3.1.0",
        "paths": {"/x": {"post": {"requestBody": body}}},
        "components": {"schemas": schemas},
    }
    found = read(document)
    assert found.tools == []
    assert "too large" in found.problems[0][1]


def test_references_that_are_very_deep_end_in_anything() -> None:
    schemas: dict[str, Any] = {f"S{n}": {"type": "object", "properties": {"a": {"$ref": f"#/components/schemas/S{n + 1}"}}}
                               for n in range(200)}  # fmt: skip
    schemas["S200"] = {"type": "string"}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/S0"}}}}
    document = {
        "openapi": "3.1.0",
        "paths": {"/x": {"post": {"requestBody": body}}},
        "components": {"schemas": schemas},
    }
    assert one(document).parameters["properties"]["a"]["type"] == "object"
