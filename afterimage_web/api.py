"""The HTTP API under /api/v1: the same services as the pages, for programs with a token."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from ninja import Field, NinjaAPI, Router, Schema, Swagger
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.renderers import JSONRenderer

from afterimage_web.api_once import done_once
from afterimage_web.api_problems import BEFORE, NO_OBJECT, complaints, only_known_parameters
from datasets.api.auth import TokenAuth
from datasets.services.curating.reviews import HeadChanged
from datasets.services.errors import Refused

DESCRIPTION = """
What the pages do, for programs; only accounts, and where alerts are sent, have pages alone. Make a token on your account
page and send it with every request:

    curl -H "Authorization: Bearer $TOKEN" https://afterimage.example/api/v1/projects

A token may do what its owner may do. Lists come in pages of 50, or of `limit`: send `next` back as `cursor` until it is
null, and `limit` and the filter along with it.

    curl -H "Authorization: Bearer $TOKEN" "https://…/conversations?status=approved&limit=200&cursor=4711"

What is refused comes with one sentence in `detail`, and in `field` what it is about: `recipe.conversations`. Misspelt
fields and parameters are refused as well. A request that changes something may have a header `Idempotency-Key`, any text
of yours: sent again within a day with the same key, it is not done again, and answered as the first time.

    curl -H "Idempotency-Key: nightly-2026-11-21" -H "Authorization: Bearer $TOKEN" …/runs --json @run.json

Times are in UTC. What takes longer is done by a worker: ask for the thing that
you were given, a file, run, export or import, until its `state` says that it has ended.
"""
UNKNOWN_CALLER = "Send a valid token as `Authorization: Bearer …`: you can make one on your account page."
NOT_FOUND = "There is nothing here, or nothing that you may see: check the address and the token."


class Problem(Schema):
    """Why a request was refused."""

    detail: str = Field(description="One sentence: what is wrong and what to do.")
    field: str = Field("", description="What it is about; empty if nothing in particular.")


PROBLEMS = {
    "401": "There is no valid token",
    "403": "Your role in the project does not allow it",
    "404": "It does not exist, or not for you",
    "409": "Somebody, or another request, was faster",
    "422": "It cannot be done as it was asked for",
}


class Utf8Renderer(JSONRenderer):
    """Texts as they are: escaped, those of most scripts would be twice as long."""

    json_dumps_params = {"ensure_ascii": False}


class Api(NinjaAPI):
    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__

    def get_openapi_schema(self, **kwargs: Any) -> OpenAPISchema:
        """With the refusals that any operation may answer with, which the operations need not repeat."""
        schema = super().get_openapi_schema(**kwargs)
        schema["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        for component in list(schema["components"]["schemas"].values()):
            _require_tags(component, schema["components"]["schemas"])
        for operations in schema["paths"].values():
            for operation in operations.values():
                for status, description in PROBLEMS.items():
                    operation["responses"][status] = {"description": description, "content": content}
        return schema


def _require_tags(part: Any, schemas: dict[str, Any]) -> None:
    """What tells the kinds of an object apart has to be sent, although each kind has a default for it in the code."""
    if isinstance(part, list):
        for one in part:
            _require_tags(one, schemas)
    elif isinstance(part, dict):
        if tag := part.get("discriminator"):
            for reference in tag["mapping"].values():
                kind = schemas[reference.rpartition("/")[2]]
                kind["required"] = sorted({*kind.get("required", ()), tag["propertyName"]})
        for one in part.values():
            _require_tags(one, schemas)


api = Api(
    title="AfterImage Web",
    version="1",
    description=DESCRIPTION,
    auth=TokenAuth(),
    urls_namespace="api",
    renderer=Utf8Renderer(),
    docs=Swagger(settings={"validatorUrl": None, "defaultModelsExpandDepth": 0}),
)


def _refuse(request: HttpRequest, status: int, detail: str, field: str = "") -> HttpResponse:
    return api.create_response(request, {"detail": detail, "field": field}, status=status)


api.add_decorator(only_known_parameters)
api.add_decorator(done_once(_refuse), mode="view")
api.add_router("/", "datasets.api.router")
api.add_router("/", "generation.api.router")

elsewhere = Router()
api.add_router("/", elsewhere)  # last: whatever no other address matches


@elsewhere.api_operation(["GET", "POST", "PUT", "PATCH", "DELETE"], "/{path:address}", include_in_schema=False)
def nowhere(request: HttpRequest, address: str) -> None:
    raise Http404


@api.exception_handler(AuthenticationError)
def no_token(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    response = _refuse(request, 401, UNKNOWN_CALLER)
    response["WWW-Authenticate"] = "Bearer"
    return response


@api.exception_handler(PermissionDenied)
def not_allowed(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return _refuse(request, 403, str(error))


@api.exception_handler(Http404)
def not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return _refuse(request, 404, NOT_FOUND)


@api.exception_handler(Refused)
def refused(request: HttpRequest, error: Refused) -> HttpResponse:
    return _refuse(request, 422, str(error), error.field)


@api.exception_handler(HeadChanged)
def overtaken(request: HttpRequest, error: HeadChanged) -> HttpResponse:
    return _refuse(request, 409, str(error), error.field or "version")


@api.exception_handler(ValidationError)
def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """All complaints, of which the first names the field."""
    found = complaints(error, request)
    return _refuse(request, 422, " ".join(sentence for _, sentence in found), found[0][0])


@api.exception_handler(HttpError)
def unreadable(request: HttpRequest, error: HttpError) -> HttpResponse:
    return _refuse(request, error.status_code, f"The body cannot be parsed as JSON. {NO_OBJECT}")


@api.exception_handler(RequestDataTooBig)
def too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return _refuse(request, 413, BEFORE[413])
