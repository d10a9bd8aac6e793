"""The passages of a corpus as a Qdrant collection: the one place that speaks to Qdrant.

It speaks Qdrant's documented REST API itself, over one kept-alive aiohttp session. The generator searches before every
answer, and a search costs 0.4 ms of CPU this way against 2.3 ms through qdrant-client, whose import alone takes every
process 2 s and 40 MB more.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote, urlsplit

import aiohttp
from aiohttp.connector import AddrInfoType
from pydantic_core import from_json, to_json
from qdrant_edge import Bm25, Bm25Config, SparseVector, TokenizerType

PORT = 6333
"""Qdrant's own, where an address names none."""
TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=5)
LARGEST = 256 * 2**20
"""Bytes of an answer of our own server; Qdrant has no limit for them."""
CONNECTIONS = 32
"""Open at once, from one process; further requests wait for a free one."""
BATCH = 100
"""Passages in one request: at the longest texts and vectors still under Qdrant's 32 MB."""
CANDIDATES = 4
"""How many times the wanted number of hits each of the two rankings hands to their fusion."""

DENSE, SPARSE = "dense", "bm25"
INDEXED_FIELDS = ("source", "revision")

ENCODER = Bm25(Bm25Config(tokenizer=TokenizerType.Word, ascii_folding=True))
"""Words are runs of letters and digits (so "E-4012" is found by "4012"), lower-cased, without accents, and stemmed as
English with English stop words left out. On other languages the stemming does little, alike for passages and queries.
The engine's multilingual tokenizer is not used: it drops every number."""
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana and ideographs
)
_UNSPACED_PAIR = re.compile(f"([{_UNSPACED}])(?=([{_UNSPACED}]?))")


class IndexFault(Exception):
    """The vector store refused a request. The message is one sentence."""


class IndexUnavailable(IndexFault):
    """The vector store cannot be reached, or not now."""


class IndexMissing(IndexFault):
    """The collection does not exist: the corpus has not been indexed, or its index was dropped."""


class IndexDenied(IndexFault):
    """The vector store wants another API key, or one at all."""


class IndexTooMuch(IndexFault):
    """The answer is larger than the client takes: ask for less at a time."""


class IndexMismatch(IndexFault):
    """The collection was made for other dense vectors than those asked for: drop it and index again."""


class _Exists(IndexFault):
    """Another process made the collection first."""


@dataclass(frozen=True, slots=True)
class IndexedPassage:
    """A passage as it is stored, so that a hit needs no look-up. `start` and `end` are character offsets."""

    id: int
    document: int
    source: int
    revision: int
    title: str
    text: str
    start: int
    end: int
    page: int | None
    heading: str

    def payload(self) -> dict[str, Any]:
        return {
            "document": self.document,
            "source": self.source,
            "revision": self.revision,
            "title": self.title,
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "page": self.page,
            "heading": self.heading,
        }


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that a search found.

    `score` is Qdrant's: BM25 (above 0, unbounded, comparable within one search only), or for a hybrid search the
    reciprocal rank fusion, the sum of 1 / (2 + rank) over the two rankings (at most 1, for first place in both).
    """

    passage: IndexedPassage
    score: float
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Where it stands, if that is not an index of our own."""


class Client:
    """Connections to one Qdrant server, kept alive; for use in one event loop. Close it, or use it in `async with`.

    `advice` says what to do when it does not answer; `largest` bounds an answer, in bytes; `make_socket` may refuse an
    address, by an OSError, just before it would be connected to.
    """

    def __init__(
        self,
        base: str,
        unix_socket: str | None,
        api_key: str | None,
        *,
        advice: str = "see that it runs and that QDRANT_URL is right",
        largest: int = LARGEST,
        timeout: aiohttp.ClientTimeout = TIMEOUT,
        make_socket: Callable[[AddrInfoType], socket.socket] | None = None,
    ) -> None:
        self._base = base
        self._socket = unix_socket
        self._headers = {"Content-Type": "application/json"} | ({"api-key": api_key} if api_key else {})
        self._advice, self._largest, self._timeout, self._make_socket = advice, largest, timeout, make_socket
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session:
            await self._session.close()
            self._session = None

    @property
    def place(self) -> str:
        return self._socket or self._base

    async def get_collections(self) -> list[str]:
        """The names of all collections. Raises IndexUnavailable."""
        return [each["name"] for each in (await self.call("GET", "/collections"))["collections"]]

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The `result` of Qdrant's answer.

        Raises IndexUnavailable when there is no answer, IndexMissing on 404, IndexDenied on 401 and 403, IndexTooMuch
        when the answer is too large, IndexFault with Qdrant's own words on any other refusal.
        """
        data = None if body is None else to_json(body)
        try:
            try:
                status, answer = await self._send(method, path, data)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                # most likely a kept-alive connection to a server that has restarted; every request may be sent twice
                status, answer = await self._send(method, path, data)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise IndexUnavailable(
                f"The vector store at {self.place} does not answer ({_reason(error)}): {self._advice}."
            ) from error
        if status >= 400:
            raise _fault(status, answer)
        return self._result(answer)

    async def _send(self, method: str, path: str, data: bytes | None) -> tuple[int, bytes]:
        request = self._open_session().request(method, self._base + path, data=data, allow_redirects=False)
        async with request as response:
            parts, size = [], 0
            async for part in response.content.iter_any():
                parts.append(part)
                size += len(part)
                if size > self._largest:
                    raise IndexTooMuch(f"The vector store at {self.place} answers with more than can be taken in.")
            return response.status, b"".join(parts)

    def _result(self, answer: bytes) -> Any:
        try:
            return from_json(answer)["result"]
        except (ValueError, TypeError, KeyError) as error:
            raise IndexUnavailable(f"What answers at {self.place} is not Qdrant: {self._advice}.") from error

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = (
                aiohttp.UnixConnector(self._socket, limit=CONNECTIONS)
                if self._socket
                else aiohttp.TCPConnector(limit=CONNECTIONS, socket_factory=self._make_socket)
            )
            self._session = aiohttp.ClientSession(connector=connector, headers=self._headers, timeout=self._timeout)
        return self._session


def connect(url: str, api_key: str | None = None) -> Client:
    """A client for `http://…`, `https://…` (port 6333 unless named) or `unix:///path.sock`. Nothing is sent yet."""
    if url.startswith("unix://"):
        return Client("http://localhost", url.removeprefix("unix://"), api_key)
    return Client(base_of(url), None, api_key)


def base_of(url: str) -> str:
    """A web address with its port, which is 6333 unless it is named."""
    parts = urlsplit(url.rstrip("/"))
    host = parts.netloc if parts.port else f"{parts.netloc}:{PORT}"
    return f"{parts.scheme}://{host}{parts.path}"


def _reason(error: Exception) -> str:
    """Why there is no answer, in a few words."""
    match error:
        case TimeoutError():
            return "it takes too long"
        case aiohttp.ClientConnectorDNSError():
            return "no server of that name is known"
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not trusted"
        case aiohttp.ClientSSLError():
            return "it does not speak TLS: perhaps its address begins with http"
        case aiohttp.ClientConnectorError():
            return "nothing answers there"
        case aiohttp.InvalidURL():
            return "that is no address"
    return str(error) or type(error).__name__


KINDS: dict[int, type[IndexFault]] = {
    401: IndexDenied, 403: IndexDenied, 404: IndexMissing, 409: _Exists,
    429: IndexUnavailable, 502: IndexUnavailable, 503: IndexUnavailable, 504: IndexUnavailable,
}  # fmt: skip


def _fault(status: int, answer: bytes) -> IndexFault:
    """The refusal in Qdrant's words; whatever else stands before it may say things that are not for everybody."""
    kind = KINDS.get(status, IndexFault)
    if kind is IndexDenied:
        return kind("The vector store refuses the API key: enter one that it accepts.")
    try:
        return kind(str(from_json(answer)["status"]["error"])[:500])
    except (ValueError, TypeError, KeyError):
        return kind(f"The vector store answered with the status {status}.")


class PassageIndex:
    """The passages of one corpus. Every method may raise IndexUnavailable, and all but `ensure` and `drop` IndexMissing."""

    def __init__(self, client: Client, collection: str) -> None:
        self._client = client
        self._path = f"/collections/{quote(collection, safe='')}"

    async def ensure(self, dense_size: int | None) -> None:
        """Make the collection unless it exists. `dense_size` is the embedding model's, None for BM25 alone.

        Raises IndexMismatch if it exists and was made for another size.
        """
        try:
            info = await self._client.call("GET", self._path)
        except IndexMissing:
            await self._create(dense_size)
            info = await self._client.call("GET", self._path)
        _check(info["config"]["params"], dense_size)
        for name in INDEXED_FIELDS:
            if name not in info["payload_schema"]:
                index = {"field_name": name, "field_schema": "integer"}
                await self._client.call("PUT", f"{self._path}/index?wait=true", index)

    async def _create(self, dense_size: int | None) -> None:
        dense = {DENSE: {"size": dense_size, "distance": "Cosine"}} if dense_size else {}
        with suppress(_Exists):
            await self._client.call(
                "PUT", self._path, {"vectors": dense, "sparse_vectors": {SPARSE: {"modifier": "idf"}}}
            )

    async def drop(self) -> None:
        """Remove the collection, if there is one."""
        with suppress(IndexMissing):
            await self._client.call("DELETE", self._path)

    async def dense_size(self) -> int | None:
        """The dimensions of its dense vectors; None where it is searched by words alone."""
        return _dense_size((await self._client.call("GET", self._path))["config"]["params"])

    async def count(self) -> int:
        return (await self._client.call("POST", f"{self._path}/points/count", {"exact": True}))["count"]

    async def upsert(self, passages: Sequence[IndexedPassage], dense: Sequence[Sequence[float]] | None = None) -> None:
        """Add the passages, or replace those with the same id. `dense` has one vector for each, in the same order.

        When this returns they are safe and found by searches. Raises IndexFault if a vector's size is wrong.
        """
        if dense is not None and len(dense) != len(passages):
            raise ValueError(f"{len(passages)} passages came with {len(dense)} vectors")
        for at in range(0, len(passages), BATCH):
            vectors = dense[at : at + BATCH] if dense is not None else [None] * BATCH
            points = [_point(*pair) for pair in zip(passages[at : at + BATCH], vectors, strict=False)]
            await self._client.call("PUT", f"{self._path}/points?wait=true", {"points": points})

    async def delete_stale(self, *, source: int, keep_revision: int) -> None:
        """Delete what any other revision of this source left."""
        await self._delete({"must": [_is("source", source)], "must_not": [_is("revision", keep_revision)]})

    async def delete_sources(self, ids: Sequence[int]) -> None:
        if ids:
            await self._delete({"must": [{"key": "source", "match": {"any": list(ids)}}]})

    async def _delete(self, condition: dict[str, Any]) -> None:
        await self._client.call("POST", f"{self._path}/points/delete?wait=true", {"filter": condition})

    async def search(self, query: str, *, limit: int, dense: Sequence[float] | None = None) -> list[Hit]:
        """The best passages first: by BM25, or fused with the nearest to `dense`, the query's vector, when it is given.

        A blank query finds nothing, and so does one without a word that BM25 knows, unless `dense` is given.
        """
        body = _query(query, dense, limit) if query.strip() else None
        if body is None:
            return []
        found = await self._client.call("POST", f"{self._path}/points/query", body)
        return [Hit(IndexedPassage(id=point["id"], **point["payload"]), point["score"]) for point in found["points"]]


def _check(params: dict[str, Any], dense_size: int | None) -> None:
    made_for = _dense_size(params)
    if made_for != dense_size:
        raise IndexMismatch(
            f"This index was made for {_described(made_for)}, not for {_described(dense_size)}: index the corpus again."
        )


def _dense_size(params: dict[str, Any]) -> int | None:
    return (params.get("vectors") or {}).get(DENSE, {}).get("size")


def _described(dense_size: int | None) -> str:
    return f"vectors of {dense_size} dimensions" if dense_size else "word search alone"


def _is(field: str, value: int) -> dict[str, Any]:
    return {"key": field, "match": {"value": value}}


def _point(passage: IndexedPassage, dense: Sequence[float] | None) -> dict[str, Any]:
    text = f"{passage.title}\n{passage.heading}\n{passage.text}"
    vectors: dict[str, Any] = {SPARSE: _sparse(ENCODER.embed_document(_spaced(text)))}
    if dense is not None:
        vectors[DENSE] = dense
    return {"id": passage.id, "vector": vectors, "payload": passage.payload()}


def _query(text: str, dense: Sequence[float] | None, limit: int) -> dict[str, Any] | None:
    """The body of a search; None where neither ranking has anything to go by."""
    words = ENCODER.embed_query(_spaced(text))
    rankings: list[dict[str, Any]] = []
    if words.indices:
        rankings.append({"query": _sparse(words), "using": SPARSE})
    if dense is not None:
        rankings.append({"query": dense, "using": DENSE})
        stages = [ranking | {"limit": limit * CANDIDATES} for ranking in rankings]
        return {"prefetch": stages, "query": {"fusion": "rrf"}, "limit": limit, "with_payload": True}
    return {**rankings[0], "limit": limit, "with_payload": True} if rankings else None


def _sparse(vector: SparseVector) -> dict[str, Any]:
    return {"indices": vector.indices, "values": vector.values}


def _spaced(text: str) -> str:
    """Scripts that put no spaces between words are cut into characters and pairs of neighbours, as is usual for them.

    Half a surrogate pair, which a model's reply can hold and UTF-8 cannot, becomes a question mark.
    """
    if text.isascii():
        return text
    return _UNSPACED_PAIR.sub(r" \1 \1\2 ", text.encode(errors="replace").decode())
