"""Functions as people paste them: of OpenAI, Anthropic or MCP, bare, one or many, or a whole OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import ValidationError

from datasets.schema import ToolSpec
from datasets.text import clean_json

from . import openapi
from .openapi import Wrong

LONGEST_TEXT = 5_000_000
LONGEST_YAML = 1_000_000
LONGEST_SCHEMA = 50_000
"""Characters of a function's parameters, written as JSON."""
LONGEST_DESCRIPTION = 5_000
MOST_TOOLS = 2_000

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_SCHEMAS = ("parameters", "input_schema", "inputSchema")


class Unreadable(ValueError):
    """A text in which no function can be looked for, and why, in a sentence."""


@dataclass(frozen=True, slots=True)
class Found:
    tools: list[ToolSpec] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    """Which function was left out, and why, in a sentence."""


def read_functions(text: str) -> Found:
    """Every function of a pasted text. One that is wrong does not keep the others out. Raises Unreadable."""
    found, names = Found(), set()
    for number, (where, described) in enumerate(_described(_parsed(text)), 1):
        if number > MOST_TOOLS:
            raise Unreadable(f"It holds more than {MOST_TOOLS:,} functions: paste them in several parts.")
        try:
            tool = _tool(described() if callable(described) else described)
            if tool.name in names:
                raise Wrong(f"“{tool.name}” is there twice: the first one is taken.")
        except Wrong as error:
            found.problems.append((where, str(error)))
        else:
            names.add(tool.name)
            found.tools.append(tool)
    if not found.tools and not found.problems:
        raise Unreadable("It holds no function: paste one, a list of them, or an OpenAPI document.")
    return found


def check_tool(tool: ToolSpec) -> ToolSpec:
    """The tool, fit to be offered to a model. Raises Wrong."""
    if not _NAME.match(tool.name):
        raise Wrong(f"“{tool.name[:80]}” is no name of a function: use up to 64 letters, digits, _ and -.")
    if len(tool.description) > LONGEST_DESCRIPTION:
        raise Wrong(f"Its description has more than {LONGEST_DESCRIPTION:,} characters: shorten it.")
    return tool.model_copy(update={"parameters": check_parameters(tool.parameters)})


def check_parameters(schema: Any) -> dict[str, Any]:
    """The JSON schema of a function's arguments, whose top is an object. Raises Wrong."""
    if not isinstance(schema, dict):
        raise Wrong("Its parameters are no JSON object: write a JSON schema.")
    if "type" not in schema and not ({"anyOf", "oneOf", "allOf", "$ref", "enum", "const"} & schema.keys()):
        schema = {"type": "object", **schema}
    if schema.get("type") != "object":
        raise Wrong('The top of its parameters is no object: write {"type": "object", "properties": {…}}.')
    schema = {"type": "object", "properties": {}} | schema
    try:
        if len(json.dumps(schema, allow_nan=False)) > LONGEST_SCHEMA:
            raise Wrong(f"Its parameters are longer than {LONGEST_SCHEMA:,} characters: leave something out.")
        Draft202012Validator.check_schema(schema)
        _check_references(schema)
    except SchemaError as error:
        where = ".".join(map(str, error.absolute_path))
        raise Wrong(
            f"Its parameters are no JSON schema{f' (at {where})' if where else ''}: {error.message[:200]}."
        ) from error
    except RecursionError as error:
        raise Wrong("Its parameters are nested too deeply: flatten them.") from error
    except (TypeError, ValueError) as error:
        raise (
            error if isinstance(error, Wrong) else Wrong("Its parameters hold something that JSON does not have.")
        ) from error
    return schema


def _check_references(schema: dict[str, Any]) -> None:
    """Nothing is ever fetched, so that every reference has to lead to a place inside."""
    for target in _references(schema):
        if not isinstance(target, str) or not target.startswith("#"):
            raise Wrong(f"Its parameters refer to “{str(target)[:100]}”, outside of them: nothing is fetched.")
        if openapi.pointed(schema, target) is None:
            raise Wrong(f"Its parameters refer to “{target[:100]}”, which is not there.")


def _references(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, item in value.items():
            # A property may be called “$ref” too: then it is a schema and no text.
            if key in ("$ref", "$dynamicRef") and not isinstance(item, dict):
                yield item
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


# -- what was pasted ----------------------------------------------------------------------------------------------------


def _parsed(text: str) -> Any:
    """JSON, or else YAML, which OpenAPI documents are often written in."""
    if len(text) > LONGEST_TEXT:
        raise Unreadable(f"It is longer than {LONGEST_TEXT:,} characters: paste it in several parts.")
    bare = text.strip().removeprefix("\ufeff")
    try:
        if bare.startswith(("{", "[")):
            return clean_json(json.loads(bare))
        value = clean_json(_loaded(bare))
    except json.JSONDecodeError as error:
        raise Unreadable(f"It is not JSON ({error.msg.rstrip('.')} in line {error.lineno}): mend it.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise Unreadable(f"It is neither JSON nor YAML{where}: check its brackets, or its indents.") from error
    except (RecursionError, ValueError, AttributeError, TypeError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable("It cannot be read: it is nested too deeply, or holds what JSON does not have.") from error
    if not isinstance(value, dict | list):
        raise Unreadable("It holds no function: paste one, a list of them, or an OpenAPI document.")
    return value


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads what JSON can hold: dates are texts."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _loaded(text: str) -> Any:
    """No aliases: a small text could grow without end by them."""
    if len(text) > LONGEST_YAML:
        raise Unreadable(f"It is longer than {LONGEST_YAML:,} characters, which is too much as YAML: write it as JSON.")
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_Loader)):
        raise Unreadable("It uses aliases (“*name”): write out what they stand for.")
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader, but for dates


def _described(value: Any) -> Iterator[tuple[str, Any]]:
    """Where each function stands, and what it is or who can tell."""
    if isinstance(value, dict) and isinstance(value.get("result"), dict):
        value = value["result"]
    if isinstance(value, dict) and ("openapi" in value or "swagger" in value):
        yield from _operations(value)
        return
    if isinstance(value, dict):
        value = next((value[key] for key in ("tools", "functions") if isinstance(value.get(key), list)), [value])
    for number, item in enumerate(value, 1):
        yield _called(item) or f"function {number}", item


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    if not str(document.get("openapi", "")).startswith("3"):
        raise Unreadable("It is a Swagger 2 document: convert it to OpenAPI 3 first.")
    if not isinstance(document.get("paths"), dict):
        raise Unreadable("The OpenAPI document has no paths, so that it offers nothing to call.")
    yield from openapi.operations(document)


def _called(item: Any) -> str:
    function = item.get("function", item) if isinstance(item, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name[:80] if isinstance(name, str) else ""


def _tool(item: Any) -> ToolSpec:
    function = item.get("function", item) if isinstance(item, dict) else None
    if not isinstance(function, dict):
        raise Wrong("It is no JSON object.")
    if not isinstance(function.get("name"), str):
        raise Wrong("It has no name.")
    schema: Any = next((function[key] for key in _SCHEMAS if function.get(key) is not None), {})
    try:
        tool = ToolSpec(name=function["name"], description=function.get("description") or "", parameters=schema)
    except ValidationError as error:
        what = error.errors()[0]["loc"][0]
        raise Wrong(f"Its {what} {'are no JSON object' if what == 'parameters' else 'is no text'}.") from error
    return check_tool(tool)
