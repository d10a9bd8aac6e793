"""Vectors are kept by model and text, and asked for once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from generation.engine.errors import TransientError
from generation.engine.providers import ClientPool, OpenAIEmbedder, Server
from generation.engine.providers.cached_embedder import CachedEmbedder, VectorCache
from tests.fixtures_model_server import RunningModelServer


@dataclass
class Lengths:
    """Embeds a text as its length, and remembers what it was asked."""

    sign: float = 1.0
    asked: list[list[str]] = field(default_factory=list)
    error: Exception | None = None

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked.append(list(texts))
        if self.error:
            raise self.error
        return [[self.sign * len(text), 0.5] for text in texts]


async def test_only_new_texts_are_asked_for_each_once_and_the_order_stays() -> None:
    embedder = Lengths()
    cached = CachedEmbedder(embedder, "m", VectorCache())
    assert await cached.embed(["a", "bbb", "a"]) == [[1.0, 0.5], [3.0, 0.5], [1.0, 0.5]]
    assert await cached.embed(["cc", "a", "dddd", "bbb", "cc"]) == [
        [2.0, 0.5], [1.0, 0.5], [4.0, 0.5], [3.0, 0.5], [2.0, 0.5],
    ]  # fmt: skip
    assert await cached.embed(["bbb", "a"]) == [[3.0, 0.5], [1.0, 0.5]]
    assert embedder.asked == [["a", "bbb"], ["cc", "dddd"]]


async def test_models_that_share_a_cache_keep_their_vectors_apart() -> None:
    cache = VectorCache()
    await CachedEmbedder(Lengths(), "one", cache).embed(["text"])
    assert await CachedEmbedder(Lengths(sign=-1), "two", cache).embed(["text"]) == [[-4.0, 0.5]]


async def test_the_cache_is_bounded_and_lets_go_of_what_was_not_used_for_longest() -> None:
    embedder, cache = Lengths(), VectorCache(most=3)
    cached = CachedEmbedder(embedder, "m", cache)
    await cached.embed(["a", "bb", "ccc"])
    await cached.embed(["a"])
    await cached.embed(["dddd"])
    assert len(cache) == 3
    await cached.embed(["a", "ccc"])
    await cached.embed(["bb"])
    assert embedder.asked == [["a", "bb", "ccc"], ["dddd"], ["bb"]]


async def test_more_texts_than_the_cache_holds_still_have_all_their_vectors() -> None:
    cache = VectorCache(most=2)
    cached = CachedEmbedder(Lengths(), "m", cache)
    await cached.embed(["a", "bb"])
    texts = ["a", *("x" * n for n in range(3, 9)), "bb"]
    assert [vector[0] for vector in await cached.embed(texts)] == [len(text) for text in texts]
    assert len(cache) == 2


async def test_what_failed_is_asked_for_again() -> None:
    embedder = Lengths(error=TransientError("Away."))
    cached = CachedEmbedder(embedder, "m", VectorCache())
    with pytest.raises(TransientError):
        await cached.embed(["a"])
    embedder.error = None
    assert await cached.embed(["a"]) == [[1.0, 0.5]]


async def test_vectors_from_a_server_come_back_as_they_were(model_server: RunningModelServer) -> None:
    async with ClientPool() as pool:
        cached = CachedEmbedder(
            OpenAIEmbedder(pool, Server(model_server.base_url), "test-embedding"), "m", VectorCache()
        )
        first = await cached.embed(["reset the pump", "open the valve"])
        assert await cached.embed(["open the valve", "reset the pump"]) == first[::-1]
    assert model_server.stats()["total"] == 1
