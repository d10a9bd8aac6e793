"""Why the API refuses a request: one clear sentence for each complaint, and the name of what it is about."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja.errors import ValidationError
from ninja.operation import Operation

from datasets.services.errors import Refused
from generation.engine.recipe import Recipe

View = Callable[[HttpRequest], HttpResponse]
ADDRESS = "/api/v1/"
NO_OBJECT = "Send a JSON object as the body of the request, and “Content-Type: application/json” with it."
BEFORE = {
    400: "The request cannot be read: check its form and its size.",
    405: "This address does not take that method: the header “Allow” of this answer names those that it takes.",
    413: "The request is larger than this server takes: send less at once.",
}
"""What is said where the request did not come as far as an operation. What breaks there, `troubles.py` tells."""
_SHOULD = re.compile(r"^[A-Z]\w*( input)? should (?P<what>.*)$", re.DOTALL)


def answers_in_json(get_response: View) -> View:
    """Whatever refuses a call of the API outside of its operations does it in the API's own shape."""

    def middleware(request: HttpRequest) -> HttpResponse:
        answer = get_response(request)
        kind = answer.headers.get("Content-Type", "")
        if answer.status_code not in BEFORE or not request.path.startswith(ADDRESS) or kind.startswith("application/"):
            return answer
        problem = {"detail": BEFORE[answer.status_code], "field": ""}
        told = JsonResponse(problem, status=answer.status_code, json_dumps_params={"ensure_ascii": False})
        if "Allow" in answer.headers:
            told.headers["Allow"] = answer.headers["Allow"]
        return told

    return middleware


def only_known_parameters(view: Callable[..., Any]) -> Callable[..., Any]:
    """An operation that refuses a misspelt parameter of its address, which would otherwise narrow nothing."""
    operation: Operation = view._ninja_operation  # type: ignore[attr-defined]  # ninja puts it there
    known = {name for model in operation.models if model.__ninja_param_source__ == "query" for name in _names(model)}

    @wraps(view)
    def checked(request: HttpRequest, **values: Any) -> Any:
        for name in request.GET:
            if name not in known and operation.include_in_schema:
                takes = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
                raise Refused(f"This address knows no parameter “{name[:60]}”: {takes}.", field=name[:60])
        return view(request, **values)

    return checked


def _names(model: Any) -> set[str]:
    return set(model.__ninja_flatten_map__)


# -- what does not have the right form ----------------------------------------------------------------------------------


def complaints(error: ValidationError, request: HttpRequest) -> list[tuple[str, str]]:
    """Each as the field that it is about, empty for the whole, and a sentence."""
    return [(field := _field(one, request), _sentence(one, field)) for one in error.errors]


def _field(error: Mapping[str, Any], request: HttpRequest) -> str:
    """`("body", "body", "recipe", "models")` is said as `recipe.models`: what stands before is where it was sent."""
    source, *path = error["loc"]
    if source == "body":
        path = _walked(path[1:], _sent(request), missing=error["type"] == "missing")
    elif path and path[0] not in request.GET and path[0] not in request.POST and error["type"] != "missing":
        path = path[1:] if source in ("query", "form") else path  # several parameters are one object in the code
    if error["type"] in Recipe.model_fields:  # the recipe's own complaints are named after what mends them
        path = [*path, error["type"]]
    return ".".join(str(part) for part in path)


def _sent(request: HttpRequest) -> Any:
    try:
        return json.loads(request.body)
    except (ValueError, RecursionError):
        return None


def _walked(path: Sequence[Any], sent: Any, *, missing: bool) -> list[Any]:
    """The path as it goes through what was sent, without the kinds that the parser puts between."""
    walked = []
    for part in path:
        inside = sent[part] if _has(sent, part) else None
        if _has(sent, part) or (missing and part == path[-1]):
            walked.append(part)
            sent = inside
    return walked


def _has(sent: Any, part: Any) -> bool:
    return part in sent if isinstance(sent, dict) else isinstance(sent, list) and isinstance(part, int)


def _sentence(error: Mapping[str, Any], field: str) -> str:
    named, context = f"“{field}”", error.get("ctx", {})
    kind, said = error["type"], error["msg"].removeprefix("Value error, ")
    if kind in ("missing", "model_attributes_type", "model_type") and not field:
        return NO_OBJECT
    if kind == "missing":
        return f"{named} is missing."
    if kind == "extra_forbidden":
        return f"{named} is no field here: leave it out, or look up its name in the API's description."
    if kind == "union_tag_invalid":
        return f"{named} has a {context['discriminator']} that is none of these: {context['expected_tags']}."
    if kind == "union_tag_not_found":
        return f"{named} has no {context['discriminator']}, which says what it is."
    if kind in ("model_attributes_type", "model_type", "dict_type"):
        return f"{named} should be an object."
    should = _SHOULD.match(said)
    return f"{named} should {should['what'].partition(', unable')[0]}." if should else _ended(said)


def _ended(said: str) -> str:
    return said if said.endswith((".", "!", "?")) else f"{said}."
