"""What the rooms of the API share: the request, texts that can be stored, and pages of lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, Generic, TypeVar

from django.db import transaction
from django.db.models import Manager, QuerySet
from django.http import HttpRequest
from ninja import Field, Schema
from pydantic import BeforeValidator, ConfigDict, StringConstraints

from datasets.keyset import keyset
from datasets.models import User
from datasets.services.errors import Refused
from datasets.text import clean, clean_json

Item = TypeVar("Item")
Given = TypeVar("Given")

PROJECT = "/projects/{slug:project}"

Id = Annotated[int, Field(ge=1, lt=2**63)]
Storable = BeforeValidator(lambda value: clean(value) if isinstance(value, str) else value)
"""JSON can hold NUL and half a surrogate pair, PostgreSQL cannot."""
StorableJson = BeforeValidator(clean_json)
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), Storable]
"""A name."""


class ApiRequest(HttpRequest):
    """A request that `TokenAuth` let in: `auth` is the token's owner."""

    auth: User


class Body(Schema):
    """What a caller sends. A misspelt field is refused rather than ignored."""

    model_config = ConfigDict(extra="forbid")


class Archiving(Body):
    archived: bool = Field(description="Out of the lists, or back into them; runs that have it keep it.")


class Named(Schema):
    id: int
    name: str


def one_of(values: Iterable[str]) -> dict[str, Any]:
    """For `json_schema_extra`: which values a text may have. Enums of one name would shadow each other there."""
    return {"enum": list(values)}


class Place(Schema):
    """Where in a list."""

    cursor: Id | None = Field(None, description="`next` of the page before; leave it out for the first page.")
    limit: int = Field(50, ge=1, le=200, description="Items on a page.")


class Page(Schema, Generic[Item]):
    items: list[Item]
    next: int | None = Field(description="Send it as `cursor` for the next page; null on the last one.")


def page_of(rows: QuerySet, place: Place, *, newest_first: bool = False) -> dict[str, Any]:
    """The page of `rows` at `place`, in the order of their ids: what a `Page` is read from."""
    page = keyset(rows, "pk", after=place.cursor, size=place.limit, descending=newest_first)
    return {"items": page.rows, "next": page.after}


@contextmanager
def inside(name: str) -> Iterator[None]:
    """What a service refuses of the object `name` of the body is named with where it stands: `recipe.corpus`."""
    try:
        yield
    except Refused as refusal:
        field = f"{name}.{refusal.field}" if refusal.field else name
        raise Refused(str(refusal), field=field) from refusal


def named(rows: Manager[Any], pk: int, field: str) -> Any:
    """The row of the project that the body names. Refused, unlike one in the address, with the name of its field."""
    row = rows.filter(pk=pk).first()
    if row is None:
        raise Refused(f"“{field}” is the id of nothing in this project: choose another.", field=field)
    return row


def enqueue(send: Callable[[Given], object], given: Given) -> None:
    """Have a worker begin at once. Should the queue not answer, the next tick finds the row all the same."""
    transaction.on_commit(partial(send, given), robust=True)
