"""Collections of other people's Qdrant servers: described, read page by page and searched; never written to.

Whatever such a server answers is checked: it is an address that somebody typed in.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

import aiohttp
from aiohttp.connector import AddrInfoType
from pydantic import BaseModel, Field, ValidationError

from datasets.addresses import is_link_local
from datasets.index import Client, IndexFault, IndexTooMuch, base_of

PAGE = 256
"""Points that are read at a time."""
SAMPLE = 32
"""Points that are looked at to see what their payloads hold."""
LARGEST = 64 * 2**20
"""Bytes of an answer."""
TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
ADVICE = "check the address, and that this server may reach it"

Name = Annotated[str, Field(max_length=255)]
Shape = TypeVar("Shape", bound=BaseModel)
PointId = int | Annotated[str, Field(max_length=100)]


class Point(BaseModel):
    """`score` is Qdrant's, of a search."""

    id: PointId
    payload: dict[str, Any] | None = None
    score: float | None = None

    @property
    def key(self) -> str:
        return str(self.id)


class _Vector(BaseModel):
    size: Annotated[int, Field(ge=1, lt=2**31)]
    distance: Annotated[str, Field(max_length=20)]
    multivector_config: Any = None


class _Params(BaseModel):
    vectors: _Vector | dict[Name, _Vector] | None = None


class _Config(BaseModel):
    params: _Params


class _Info(BaseModel):
    points_count: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    config: _Config


class _Page(BaseModel):
    points: list[Point]
    next_page_offset: PointId | None = None


class _Listed(BaseModel):
    class Named(BaseModel):
        name: Name

    collections: list[Named]


@dataclass(frozen=True, slots=True)
class DenseVector:
    """A vector that each point has; the name of the only one may be ""."""

    name: str
    size: int
    distance: str


@dataclass(frozen=True, slots=True)
class Described:
    """How many points a collection has, and by which of their vectors one can search."""

    points: int
    vectors: tuple[DenseVector, ...]


def connect_foreign(url: str, api_key: str | None) -> Client:
    """A client for `http://…` or `https://…` (port 6333 unless named). Nothing is sent yet."""
    return Client(
        base_of(url), None, api_key, advice=ADVICE, largest=LARGEST, timeout=TIMEOUT, make_socket=_allowed_socket
    )


def _allowed_socket(address: AddrInfoType) -> socket.socket:
    """What a name stands for may have changed since it was typed in."""
    family, kind, protocol, _, place = address
    if is_link_local(str(place[0])):
        raise OSError("That address is reserved for this machine's own network.")
    return socket.socket(family, kind, protocol)


async def list_collections(client: Client) -> list[str]:
    listed = _checked(_Listed, await client.call("GET", "/collections"), client)
    return sorted(each.name for each in listed.collections)


class ForeignCollection:
    """Every method may raise an IndexFault: its message is one sentence."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._path = f"/collections/{quote(name, safe='')}"

    async def describe(self) -> Described:
        info = _checked(_Info, await self._client.call("GET", self._path), self._client)
        found = info.config.params.vectors or {}
        named = {"": found} if isinstance(found, _Vector) else found
        vectors = (
            DenseVector(name, each.size, each.distance) for name, each in named.items() if not each.multivector_config
        )
        return Described(info.points_count or 0, tuple(vectors))

    async def sample(self) -> list[dict[str, Any]]:
        """The payloads of its first points."""
        points, _ = await self.page(None, SAMPLE)
        return [point.payload or {} for point in points]

    async def page(self, offset: PointId | None, limit: int = PAGE) -> tuple[list[Point], PointId | None]:
        """Up to `limit` points from `offset` on, in the order of their ids, and where the next page begins, if there is one.

        Where so many are too large for one answer, fewer are returned.
        """
        body = {"limit": limit, "offset": offset, "with_payload": True, "with_vector": False}
        try:
            answer = await self._client.call("POST", f"{self._path}/points/scroll", body)
        except IndexTooMuch:
            if limit == 1:
                raise
            return await self.page(offset, max(1, limit // 4))
        found = _checked(_Page, answer, self._client)
        return found.points, found.next_page_offset

    async def nearest(
        self, vector: Sequence[float], *, using: str, limit: int, threshold: float | None = None
    ) -> list[Point]:
        """The points whose vector `using` is nearest, best first; only those that score at least as well as `threshold`."""
        body: dict[str, Any] = {"query": vector, "limit": limit, "with_payload": True}
        if using:
            body["using"] = using
        if threshold is not None:
            body["score_threshold"] = threshold
        answer = await self._client.call("POST", f"{self._path}/points/query", body)
        return _checked(_Page, answer, self._client).points


def _checked(shape: type[Shape], answer: Any, client: Client) -> Shape:
    try:
        return shape.model_validate(answer)
    except ValidationError as error:
        raise IndexFault(f"What {client.place} answers is not what Qdrant answers: {ADVICE}.") from error
