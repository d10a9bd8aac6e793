"""Embeddings from any server that speaks the OpenAI API."""

from __future__ import annotations

import base64
import sys
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from generation.engine.errors import FatalError, TransientError
from generation.engine.protocols import Embedder

from .chat import post
from .keys import Hear
from .limits import AdaptiveLimiter
from .local_embedder import LocalEmbedder
from .retrying import USUAL, RetryPolicy, retried
from .servers import ClientPool, Server

BATCH = 128
AT_ONCE = 8
MOST_TOKENS = 100_000_000
"""No request has more, whatever a server says."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A request to an embedding model that is paid for, with its `tries`.

    Tokens are the server's own count, of every reply; `latency` is in seconds, of the last one.
    """

    model: str
    tokens: int = 0
    latency: float = 0.0
    tries: int = 1


Note = Callable[[Embedded], None]


def _nobody(told: object) -> None:
    """For whom there is nobody to tell."""


def embedder(
    pool: ClientPool,
    server: Server,
    model: str,
    policy: RetryPolicy = USUAL,
    *,
    limiter: AdaptiveLimiter | None = None,
    note: Note = _nobody,
    hear: Hear = _nobody,
) -> Embedder:
    """The embedding model of that name: behind the server, or on this machine where that is the server.

    `limiter` is shared with whatever else is asked of the server; without one, 8 requests are in flight at most.
    `note` is told of each request that is paid for, which those to this machine are not; `hear` why one is tried again.
    Raises FatalError when this machine has no such model.
    """
    if server.local_models is None:
        return OpenAIEmbedder(pool, server, model, policy, limiter=limiter, note=note, hear=hear)
    if model not in server.local_models:
        known = ", ".join(server.local_models) or "none"
        raise FatalError(f"There is no embedding model “{model}” on this machine (there are: {known}).")
    return LocalEmbedder(server.local_models[model])


class OpenAIEmbedder:
    """One embedding model of one server, asked for at most 128 texts a request, each request slowed down as the server
    wishes and tried again by itself.

    Raises FatalError or TransientError.
    """

    def __init__(
        self,
        pool: ClientPool,
        server: Server,
        model: str,
        policy: RetryPolicy = USUAL,
        *,
        batch: int = BATCH,
        limiter: AdaptiveLimiter | None = None,
        note: Note = _nobody,
        hear: Hear = _nobody,
    ) -> None:
        self._pool = pool
        self._server = replace(server, patience=policy.patience)
        self._model = model
        self._policy = policy
        self._batch = batch
        self._limiter = limiter or AdaptiveLimiter(AT_ONCE)
        self._note = note
        self._hear = hear

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, in the order of the texts."""
        vectors: list[list[float]] = []
        for start in range(0, len(texts), self._batch):
            vectors += await self._part(list(texts[start : start + self._batch]))
        return vectors

    async def _part(self, texts: list[str]) -> list[list[float]]:
        spent = _Spent()
        try:
            return await retried(lambda: self._limiter.within(lambda: self._request(texts, spent)), self._policy)
        finally:  # a reply that was no use is paid for like any other
            if spent.replies:
                self._note(Embedded(self._model, spent.tokens, spent.latency, spent.tries))

    async def _request(self, texts: list[str], spent: _Spent) -> list[list[float]]:
        body: dict[str, Any] = {"model": self._model, "input": texts, "encoding_format": "base64"}
        spent.tries += 1
        begun = time.perf_counter()
        try:
            data = await post(self._pool, self._server, "/embeddings", body)
            spent.add(data, time.perf_counter() - begun)
            return _vectors(data, len(texts))
        except TransientError as error:
            self._hear(str(error))
            raise


@dataclass(slots=True)
class _Spent:
    """What the tries at one request have taken so far."""

    tries: int = 0
    replies: int = 0
    tokens: int = 0
    latency: float = 0.0

    def add(self, data: Mapping[str, Any], latency: float) -> None:
        self.replies += 1
        self.tokens += _tokens(data.get("usage"))
        self.latency = latency


def _tokens(usage: Any) -> int:
    """Some servers say the total alone, and some nothing."""
    if not isinstance(usage, Mapping):
        return 0
    counts = (usage.get("prompt_tokens"), usage.get("total_tokens"))
    return next((int(count) for count in counts if isinstance(count, int | float) and 0 < count <= MOST_TOKENS), 0)


def _vectors(data: Mapping[str, Any], expected: int) -> list[list[float]]:
    try:
        items = sorted(data["data"], key=lambda item: item["index"])
        vectors = [_vector(item["embedding"]) for item in items]
    except (KeyError, TypeError, ValueError):
        raise TransientError("The server's reply is not a list of embeddings.") from None
    if len(vectors) != expected:
        raise TransientError(f"The server sent {len(vectors)} embeddings for {expected} texts.")
    return vectors


def _vector(sent: str | list[float]) -> list[float]:
    """A vector as base64 of little-endian float32, or as the list that some servers send all the same; both of float32."""
    if not isinstance(sent, str):
        return array("f", sent).tolist()
    values = array("f", base64.b64decode(sent))
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()
