"""The HTTP API under /api/v1: the same services as the pages, for programs with a token."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from ninja import Field, NinjaAPI, Router, Schema, Swagger
from ninja.errors import AuthenticationError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.renderers import JSONRenderer

from datasets.api.auth import TokenAuth
from datasets.services.errors import Refused
from datasets.services.reviews import HeadChanged

DESCRIPTION = """
Everything that the pages do, for programs. Make a token on your account page and send it with every request:

    curl -H "Authorization: Bearer $TOKEN" https://afterimage.example/api/v1/projects

A token may do what its owner may do. Lists come in pages: send `next` back as `cursor` until it is null. What is
refused comes with one sentence in `detail`, and in `field` what it is about.
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
        for operations in schema["paths"].values():
            for operation in operations.values():
                for status, description in PROBLEMS.items():
                    operation["responses"][status] = {"description": description, "content": content}
        return schema


api = Api(
    title="AfterImage Web",
    version="1",
    description=DESCRIPTION,
    auth=TokenAuth(),
    urls_namespace="api",
    renderer=Utf8Renderer(),
    docs=Swagger(settings={"validatorUrl": None, "defaultModelsExpandDepth": 0}),
)
api.add_router("/", "datasets.api.router")
api.add_router("/", "generation.api.router")

elsewhere = Router()
api.add_router("/", elsewhere)  # last: whatever no other address matches


@elsewhere.api_operation(["GET", "POST", "PUT", "PATCH", "DELETE"], "/{path:address}", include_in_schema=False)
def nowhere(request: HttpRequest, address: str) -> None:
    raise Http404


def _refuse(request: HttpRequest, status: int, detail: str, field: str = "") -> HttpResponse:
    return api.create_response(request, {"detail": detail, "field": field}, status=status)


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
    return _refuse(request, 409, str(error), "version")


@api.exception_handler(ValidationError)
def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """All complaints in one line, each after the name of its field."""
    complaints = [(_field(one), one["msg"].removeprefix("Value error, ")) for one in error.errors]
    detail = "; ".join(f"{field}: {message}" if field else message for field, message in complaints)
    return _refuse(request, 422, detail, complaints[0][0])


def _field(error: dict[str, Any]) -> str:
    """`("body", "body", "recipe", "models")` is said as `recipe.models`: what stands before is where it was sent."""
    source, *path = error["loc"]
    return ".".join(str(part) for part in (path[1:] if source == "body" else path))
