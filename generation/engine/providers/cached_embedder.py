"""Vectors that were asked for before are not asked for again."""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence

from generation.engine.protocols import Embedder

MOST = 4096
"""Vectors kept in memory: 4 bytes a number, so about 25 MB at 1,536 dimensions."""


class VectorCache:
    """The vectors used last, by model and text, at most `most` of them."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._vectors: OrderedDict[bytes, array[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._vectors)

    def get(self, key: bytes) -> list[float] | None:
        vector = self._vectors.get(key)
        if vector is None:
            return None
        self._vectors.move_to_end(key)
        return vector.tolist()

    def put(self, key: bytes, vector: Sequence[float]) -> None:
        self._vectors[key] = array("f", vector)
        self._vectors.move_to_end(key)
        while len(self._vectors) > self._most:
            self._vectors.popitem(last=False)


class CachedEmbedder:
    """An embedder that asks another only for texts that the cache does not hold, each once, in one call.

    `model` tells the vectors of one model from those of others in the same cache. Vectors are kept as float32.
    """

    def __init__(self, embedder: Embedder, model: str, cache: VectorCache) -> None:
        self._embedder = embedder
        self._model = model
        self._cache = cache

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, in the order of the texts."""
        keys = [self._key(text) for text in texts]
        # Held here too: the cache may let go of some while others come in.
        known = {key: vector for key in keys if (vector := self._cache.get(key)) is not None}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            for key, vector in zip(missing, await self._embedder.embed(list(missing.values())), strict=True):
                self._cache.put(key, vector)
                known[key] = vector
        return [known[key] for key in keys]

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(f"{self._model}\n{text}".encode("utf-8", "surrogatepass")).digest()
