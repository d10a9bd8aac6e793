"""JSON schemas that users write: whether they can be used, how models are asked by them, and whether a value fits one.

References are followed inside a schema only: nothing is ever fetched.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import datetime
from threading import current_thread, main_thread
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable

from .replies import excerpt, loads

LONGEST = 50_000
"""Characters of a schema as JSON."""
REFERENCES = 20
"""How many references in a row are followed."""
PATIENCE = 1.0
"""Seconds that the patterns of a schema may take."""
_FORMATS = Draft202012Validator.FORMAT_CHECKER
_MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_VALUES = ("enum", "const", "default", "examples", "required")


@_FORMATS.checks("date-time", raises=ValueError)
def _is_a_moment(value: object) -> bool:
    """The library leaves this common format unchecked unless another package is there."""
    return not isinstance(value, str) or ("T" in value.upper() and bool(datetime.fromisoformat(value)))


def read(text: str) -> Any:
    """The schema that a text holds. ValueError, in a sentence, when it is not JSON."""
    try:
        return loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("This is not JSON: check its quotation marks, commas and braces.") from error


def checked(form: dict[str, Any]) -> dict[str, Any]:
    """`form`, if it is a JSON schema that values can be checked by. ValueError, in a sentence, if not."""
    try:
        if len(json.dumps(form)) > LONGEST:
            raise ValueError(f"This schema is too long: at most {LONGEST} characters.")
        Draft202012Validator.check_schema(form)
        for reference in _references(form):
            _resolve(form, reference)
        for _ in _validator(form).iter_errors({}):
            break
    except SchemaError as error:
        raise ValueError(f"This is not a JSON schema: {_where(error)}{excerpt(error.message, 200)}") from error
    except RecursionError as error:
        raise ValueError("This schema is nested too deeply, or refers to itself without an end.") from error
    return form


def problem(value: Any, form: Mapping[str, Any]) -> str:
    """What is wrong with `value` by the schema, and where; empty when nothing is."""
    try:
        with _at_most(PATIENCE) if '"pattern' in json.dumps(form) else nullcontext():
            error = best_match(_validator(form).iter_errors(value))
    except (Unresolvable, RecursionError):
        return "the schema's own references lead nowhere"
    except TimeoutError:
        return "a pattern of the schema takes too long to compare"
    return "" if error is None else f"{_where(error)}{excerpt(error.message, 200)}"


def asked(form: Mapping[str, Any]) -> dict[str, Any]:
    """The schema that a model is given in place of `form`.

    Servers that hold models to a schema want every property filled. So what may be left out may be null instead, and
    `fitted` leaves it out again.
    """
    return _asked(form, form)


def fitted(value: Any, form: Mapping[str, Any]) -> Any:
    """`value`, without the nulls that stand for properties left out."""
    return _fitted(value, form, form)


def embedded(form: Mapping[str, Any], name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """`form` as a part of another schema: what stands in its place, and what has to stand in the other's `$defs`."""
    if not any(True for _ in _references(form)):
        return dict(form), {}
    return {"$ref": f"#/$defs/{name}"}, {name: _moved(form, f"#/$defs/{name}")}


def _validator(form: Mapping[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(dict(form), registry=Registry(), format_checker=_FORMATS)


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Ends the block with TimeoutError: some regular expressions take for ever on some texts, and a worker with them.

    Nothing but a signal reaches into them, and signals reach the main thread only, which is where workers work.
    """
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _too_late)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, before)


def _too_late(*_: object) -> None:
    raise TimeoutError


def _where(error: ValidationError | SchemaError) -> str:
    path = ".".join(map(str, error.absolute_path))
    return f"{path}: " if path else ""


# -- inside a schema ----------------------------------------------------------------------------------------------------


def _parts(form: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The keywords of a schema that hold schemas, with what they hold."""
    return ((key, part) for key, part in form.items() if key not in _VALUES)


def _references(form: Any) -> Iterator[str]:
    if isinstance(form, list):
        for part in form:
            yield from _references(part)
    elif isinstance(form, Mapping):
        for key, part in _parts(form):
            if key in ("$ref", "$dynamicRef") and isinstance(part, str):
                yield part
            elif key in _MAPS and isinstance(part, Mapping):
                yield from _references(list(part.values()))
            else:
                yield from _references(part)


def _resolve(form: Mapping[str, Any], reference: str) -> Any:
    """What a reference of `form` points to. ValueError when that is not inside it."""
    found: Any = form
    if not reference.startswith("#"):
        raise ValueError(
            f"The schema refers to “{excerpt(reference, 80)}”, outside of itself: put that into its $defs."
        )
    for key in filter(None, reference[1:].split("/")):
        key = key.replace("~1", "/").replace("~0", "~")
        found = found.get(key) if isinstance(found, Mapping) else None
    if found is None:
        raise ValueError(f"The schema refers to “{excerpt(reference, 80)}”, which it does not hold.")
    return found


def _moved(form: Any, place: str) -> Any:
    """`form` with its references set right for where it stands now."""
    if isinstance(form, list):
        return [_moved(part, place) for part in form]
    if not isinstance(form, Mapping):
        return form
    return {
        key: place + part[1:] if key == "$ref" and isinstance(part, str) else _moved(part, place)
        for key, part in form.items()
    }


def _asked(form: Any, root: Mapping[str, Any]) -> Any:
    """Goes only where `_fitted` goes: into properties, items and what they refer to."""
    if not isinstance(form, Mapping):
        return form
    made = dict(form)
    required = form.get("required", ())
    for key in ("properties", "$defs", "definitions"):
        if isinstance(form.get(key), Mapping):
            made[key] = {name: _asked(part, root) for name, part in form[key].items()}
    if "items" in form:
        made["items"] = _asked(form["items"], root)
    if isinstance(made.get("properties"), dict):
        made["properties"] = {
            name: part if name in required or _takes_null(form["properties"][name], root) else _or_null(part)
            for name, part in made["properties"].items()
        }
        made["required"] = list(made["properties"])
    return made


def _or_null(part: Any) -> dict[str, Any]:
    return {"anyOf": [part, {"type": "null"}]}


def _takes_null(part: Any, root: Mapping[str, Any]) -> bool:
    if not isinstance(part, Mapping):
        return True
    if isinstance(kind := part.get("type"), str):
        return kind == "null"
    return _validator(root).evolve(schema=part).is_valid(None)


def _fitted(value: Any, form: Any, root: Mapping[str, Any]) -> Any:
    for _ in range(REFERENCES):
        if not isinstance(form, Mapping) or not isinstance(form.get("$ref"), str):
            break
        form = _resolve(root, form["$ref"])
    if not isinstance(form, Mapping):
        return value
    if isinstance(value, list):
        return [_fitted(part, form.get("items"), root) for part in value]
    if not isinstance(value, dict):
        return value
    parts, required = form.get("properties", {}), form.get("required", ())
    kept = {key: part for key, part in value.items() if part is not None or _keeps_null(key, parts, required, root)}
    return {key: _fitted(part, parts.get(key), root) for key, part in kept.items()}


def _keeps_null(key: str, parts: Mapping[str, Any], required: Any, root: Mapping[str, Any]) -> bool:
    return key not in parts or key in required or _takes_null(parts[key], root)
