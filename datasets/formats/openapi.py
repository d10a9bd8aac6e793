"""Operations of an OpenAPI 3 document as functions: what an operation takes becomes one object of arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace")
DEEPEST = 30
"""How far references and schemas may stand inside each other; what lies deeper may be anything."""
MOST_PARTS = 5_000
"""Schemas within schemas that one operation may have once every reference is filled in."""

_DROPPED = {"example", "examples", "xml", "externalDocs", "discriminator", "nullable", "deprecated", "writeOnly"}
_MAPS = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
_HEADERS_OF_HTTP = {"accept", "content-type", "authorization"}


class Wrong(ValueError):
    """What is wrong with a function, in a sentence."""


def pointed(document: Any, reference: str) -> Any:
    """What a reference of the form `#/a/b` leads to; None when there is nothing."""
    place = document
    for part in unquote(reference[1:]).split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(place, list) and key.isdecimal() and int(key) < len(place):
            place = place[int(key)]
        elif isinstance(place, dict) and key in place:
            place = place[key]
        else:
            return None
    return place


def operations(document: dict[str, Any]) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Each operation's place, and what makes a function of it, which raises Wrong when that cannot be."""
    for path, item in document["paths"].items():
        if not isinstance(item, dict):
            continue
        for method in METHODS:
            if isinstance(item.get(method), dict):
                yield f"{method.upper()} {path}", _Operation(document, str(path), method, item).function


@dataclass(slots=True)
class _Operation:
    document: dict[str, Any]
    path: str
    method: str
    item: dict[str, Any]
    parts: int = field(default=0)

    def function(self) -> dict[str, Any]:
        operation = self.item[self.method]
        properties, required = self._parameters(operation)
        body, needed = self._body(operation)
        for name, schema in body.items():
            own = name if name not in properties else f"body_{name}"
            properties[own] = schema
            if name in needed:
                required.append(own)
        parameters: dict[str, Any] = {"type": "object", "properties": properties}
        if required:
            parameters["required"] = required
        return {"name": self._name(operation), "description": _words(operation), "parameters": parameters}

    def _name(self, operation: dict[str, Any]) -> str:
        said = operation.get("operationId")
        name = said if isinstance(said, str) and said else f"{self.method}{self.path}"
        return re.sub(r"[^a-zA-Z0-9_-]+", "_", name).strip("_")[:64]

    def _parameters(self, operation: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Those of the path and those of the operation, which come before them."""
        found: dict[tuple[Any, Any], dict[str, Any]] = {}
        for one in [*_list(self.item.get("parameters")), *_list(operation.get("parameters"))]:
            parameter = self._followed(one)
            found[parameter.get("in"), parameter.get("name")] = parameter
        properties: dict[str, Any] = {}
        required: list[str] = []
        for (place, name), parameter in found.items():
            if place not in ("path", "query", "header") or not isinstance(name, str):
                continue
            if place == "header" and name.lower() in _HEADERS_OF_HTTP:
                continue
            own = name if name not in properties else f"{place}_{name}"
            properties[own] = self._parameter(parameter)
            if parameter.get("required") is True or place == "path":
                required.append(own)
        return properties, required

    def _parameter(self, parameter: dict[str, Any]) -> dict[str, Any]:
        schema = parameter.get("schema") or _json_of(parameter.get("content")) or {}
        filled = self._filled(schema)
        described = parameter.get("description")
        return {"description": described, **filled} if isinstance(described, str) else filled

    def _body(self, operation: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The properties of a JSON body that is an object, else the whole body as one; and which of them are needed."""
        if not operation.get("requestBody"):
            return {}, []
        body = self._followed(operation["requestBody"])
        schema = _json_of(body.get("content"))
        if schema is None:
            return {}, []
        filled = _merged(self._filled(schema))
        needed = body.get("required") is True
        if not isinstance(filled.get("properties"), dict) or filled.get("type", "object") != "object":
            return {"body": filled}, ["body"] if needed else []
        names = [name for name in _list(filled.get("required")) if name in filled["properties"]]
        return filled["properties"], names if needed else []

    # -- references -----------------------------------------------------------------------------------------------------

    def _followed(self, value: Any) -> dict[str, Any]:
        """What a chain of references leads to."""
        for _ in range(DEEPEST):
            if not isinstance(value, dict):
                raise Wrong("One of its parts is no object: check the document.")
            if "$ref" not in value:
                return value
            value = self._target(value["$ref"])
        raise Wrong("Its references lead in a circle.")

    def _target(self, reference: Any) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise Wrong(f"It refers to “{str(reference)[:100]}”, outside of the document: nothing is fetched.")
        target = pointed(self.document, reference)
        if target is None:
            raise Wrong(f"It refers to “{reference[:100]}”, which is not in the document.")
        return target

    def _filled(self, schema: Any, inside: tuple[str, ...] = (), depth: int = 0) -> Any:
        """A schema with every reference filled in. Where it would contain itself, or is too deep, anything may stand."""
        self.parts += 1
        if self.parts > MOST_PARTS:
            raise Wrong("What it takes is too large once its references are filled in: describe it by hand.")
        if not isinstance(schema, dict):
            return schema
        if depth > DEEPEST:
            return {}
        reference = schema.get("$ref")
        if reference is not None:
            if reference in inside:
                return {}
            filled = self._filled(self._target(reference), (*inside, reference), depth + 1)
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            return filled | self._filled(beside, inside, depth + 1) if beside and isinstance(filled, dict) else filled
        return _modern({key: self._part(key, value, inside, depth) for key, value in schema.items()})

    def _part(self, key: str, value: Any, inside: tuple[str, ...], depth: int) -> Any:
        if key in _MAPS and isinstance(value, dict):
            filled = {name: self._filled(one, inside, depth + 1) for name, one in value.items()}
            # What only a server says is no argument.
            return {
                name: one for name, one in filled.items() if not (isinstance(one, dict) and one.get("readOnly") is True)
            }
        if key in ("enum", "const", "default", "required"):
            return value
        if isinstance(value, list):
            return [self._filled(one, inside, depth + 1) for one in value]
        return self._filled(value, inside, depth + 1) if isinstance(value, dict) else value


def _modern(schema: dict[str, Any]) -> dict[str, Any]:
    """What OpenAPI 3.0 writes otherwise than JSON Schema, and what only documentation reads."""
    plain = {key: value for key, value in schema.items() if key not in _DROPPED and not key.startswith("x-")}
    if schema.get("nullable") is True and isinstance(plain.get("type"), str):
        plain["type"] = [plain["type"], "null"]
    for exclusive, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(plain.get(exclusive), bool):
            strict = plain.pop(exclusive)
            if strict and limit in plain:
                plain[exclusive] = plain.pop(limit)
    return plain


def _merged(schema: Any) -> dict[str, Any]:
    """A schema made of several objects (`allOf`) as one object, where it is so simple."""
    parts = schema.get("allOf") if isinstance(schema, dict) else None
    if not isinstance(parts, list):
        return schema if isinstance(schema, dict) else {}
    each = [_merged(part) for part in [*parts, {key: value for key, value in schema.items() if key != "allOf"}]]
    properties: dict[str, Any] = {}
    for part in each:
        properties |= part.get("properties") or {}
    required = list(dict.fromkeys(name for part in each for name in _list(part.get("required"))))
    return {"type": "object", "properties": properties, "required": required} if properties else schema


def _json_of(content: Any) -> Any:
    """The schema of the JSON among kinds of content; None when there is none."""
    if not isinstance(content, dict):
        return None
    for kind, media in content.items():
        plain = str(kind).split(";")[0].strip().lower()
        if (plain == "application/json" or plain.endswith("+json")) and isinstance(media, dict):
            return media.get("schema") or {}
    return None


def _words(operation: dict[str, Any]) -> str:
    said = [operation.get(key) for key in ("summary", "description")]
    return "\n\n".join(dict.fromkeys(text.strip() for text in said if isinstance(text, str) and text.strip()))[:5_000]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
