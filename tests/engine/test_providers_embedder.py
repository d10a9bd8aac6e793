"""Embeddings come in batches, in order, and are tried again batch by batch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from generation.engine.errors import FatalError, TransientError
from generation.engine.providers import ClientPool, OpenAIEmbedder, RetryPolicy, Server
from tests.fixtures_model_server import RunningModelServer

QUICK = RetryPolicy(tries=3, base=0.02, longest=0.1)


@asynccontextmanager
async def embedder(server: RunningModelServer) -> AsyncIterator[OpenAIEmbedder]:
    async with ClientPool() as pool:
        yield OpenAIEmbedder(pool, Server(server.base_url), "test-embedding", QUICK)


async def test_texts_are_sent_128_at_a_time_and_vectors_keep_their_order(model_server: RunningModelServer) -> None:
    texts = [f"passage about topic{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(300)]
    async with embedder(model_server) as model:
        vectors = await model.embed(texts)
        alone = await model.embed([texts[137]])
    assert [len(one["body"]["input"]) for one in model_server.requests()] == [128, 128, 44, 1]
    assert len(vectors) == 300
    assert {len(vector) for vector in vectors} == {64}
    assert vectors[137] == alone[0]


async def test_vectors_are_asked_for_packed_and_are_what_was_sent(model_server: RunningModelServer) -> None:
    model_server.control(dimension=8)
    async with embedder(model_server) as model:
        (vector,) = await model.embed(["reset the device"])
    assert model_server.requests()[-1]["body"]["encoding_format"] == "base64"
    assert sum(value * value for value in vector) == pytest.approx(1.0, abs=1e-5)


async def test_no_texts_are_no_request(model_server: RunningModelServer) -> None:
    async with embedder(model_server) as model:
        assert await model.embed([]) == []
    assert model_server.stats()["total"] == 0


async def test_only_the_batch_that_failed_is_sent_again(model_server: RunningModelServer) -> None:
    model_server.fail("status", status=503, count=2)
    async with embedder(model_server) as model:
        assert len(await model.embed(["a text"] * 200)) == 200
    assert [len(one["body"]["input"]) for one in model_server.requests()] == [128, 128, 128, 72]


async def test_what_does_not_pass_is_raised(model_server: RunningModelServer) -> None:
    async with embedder(model_server) as model:
        model_server.fail("cut")
        with pytest.raises(TransientError):
            await model.embed(["a text"])
        model_server.control(models=["another"])
        model_server.control(faults=[])
        with pytest.raises(FatalError, match="test-embedding"):
            await model.embed(["a text"])
