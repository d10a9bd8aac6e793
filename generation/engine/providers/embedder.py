"""Embeddings from any server that speaks the OpenAI API."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from generation.engine.errors import FatalError, TransientError
from generation.engine.protocols import Embedder

from .chat import post
from .retrying import USUAL, RetryPolicy, retried
from .servers import ClientPool, Server

BATCH = 128


def embedder(pool: ClientPool, server: Server, model: str, policy: RetryPolicy = USUAL) -> Embedder:
    """The embedding model of that name: behind the server, or on this machine where that is the server.

    Raises FatalError when this machine has no such model.
    """
    if server.local_models is None:
        return OpenAIEmbedder(pool, server, model, policy)
    if model not in server.local_models:
        known = ", ".join(server.local_models) or "none"
        raise FatalError(f"There is no embedding model “{model}” on this machine (there are: {known}).")
    return pool.local(server.local_models[model])


class OpenAIEmbedder:
    """One embedding model of one server, asked for at most 128 texts a request, each request tried again by itself.

    Raises FatalError or TransientError.
    """

    def __init__(
        self, pool: ClientPool, server: Server, model: str, policy: RetryPolicy = USUAL, *, batch: int = BATCH
    ) -> None:
        self._pool = pool
        self._server = replace(server, patience=policy.patience)
        self._model = model
        self._policy = policy
        self._batch = batch

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, in the order of the texts."""
        vectors: list[list[float]] = []
        for start in range(0, len(texts), self._batch):
            part = list(texts[start : start + self._batch])
            vectors += await retried(lambda part=part: self._request(part), self._policy)  # type: ignore[misc]
        return vectors

    async def _request(self, texts: list[str]) -> list[list[float]]:
        body: dict[str, Any] = {"model": self._model, "input": texts, "encoding_format": "base64"}
        data = await post(self._pool, self._server, "/embeddings", body)
        try:
            items = sorted(data["data"], key=lambda item: item["index"])
            vectors = [_vector(item["embedding"]) for item in items]
        except (KeyError, TypeError, ValueError):
            raise TransientError("The server's reply is not a list of embeddings.") from None
        if len(vectors) != len(texts):
            raise TransientError(f"The server sent {len(vectors)} embeddings for {len(texts)} texts.")
        return vectors


def _vector(sent: str | list[float]) -> list[float]:
    """A vector as base64 of little-endian float32, or as the list that some servers send all the same."""
    if not isinstance(sent, str):
        return sent
    values = array("f", base64.b64decode(sent))
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()
