"""Embeddings come in batches, in order, and are tried again batch by batch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from generation.engine.errors import FatalError, TransientError
from generation.engine.protocols import ChatRequest, Turn
from generation.engine.providers import (
    AdaptiveLimiter,
    ClientPool,
    Embedded,
    Limited,
    OpenAIChat,
    OpenAIEmbedder,
    RetryPolicy,
    Server,
)
from tests.fixtures_model_server import RunningModelServer

QUICK = RetryPolicy(tries=3, base=0.02, longest=0.1)


@asynccontextmanager
async def embedder(server: RunningModelServer) -> AsyncIterator[OpenAIEmbedder]:
    async with ClientPool() as pool:
        yield OpenAIEmbedder(pool, Server(server.base_url), "test-embedding", QUICK)


@asynccontextmanager
async def answering(reply: object) -> AsyncIterator[str]:
    """The address of a server that says the same to everybody."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(reply)

    app = web.Application()
    app.router.add_post("/embeddings", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/")).rstrip("/")


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


async def test_requests_share_a_limit_with_chat_calls_and_cut_it_when_the_server_wants_less(
    model_server: RunningModelServer,
) -> None:
    model_server.control(latency=0.05)
    limiter = AdaptiveLimiter(4)
    async with ClientPool() as pool:
        server = Server(model_server.base_url)
        model = OpenAIEmbedder(pool, server, "test-embedding", QUICK, batch=1, limiter=limiter)
        chat = Limited(OpenAIChat(pool, server, "test-model"), limiter)
        asked = ChatRequest("test", (Turn("user", "Say hello."),))
        await asyncio.gather(*(work for n in range(8) for work in (model.embed([f"text {n}"]), chat.complete(asked))))
        assert (model_server.stats()["total"], model_server.stats()["peak_in_flight"]) == (16, 4)
        assert limiter.limit == 4
        model_server.fail("status", status=429, count=4)
        await asyncio.gather(*(model.embed([f"other text {n}"]) for n in range(4)))
        assert limiter.limit < 4
        assert limiter.in_flight == 0


async def test_everybody_waits_while_an_embedding_server_wants_a_pause(model_server: RunningModelServer) -> None:
    limiter = AdaptiveLimiter(4)
    model_server.fail("status", status=429, count=1, retry_after=0.5)
    async with ClientPool() as pool:
        server = Server(model_server.base_url)
        with pytest.raises(TransientError):
            await OpenAIEmbedder(pool, server, "test-embedding", RetryPolicy(tries=1), limiter=limiter).embed(["one"])
        begun = time.monotonic()
        await OpenAIEmbedder(pool, server, "test-embedding", QUICK, limiter=limiter).embed(["two"])
    assert time.monotonic() - begun > 0.4


async def test_what_does_not_pass_is_raised(model_server: RunningModelServer) -> None:
    async with embedder(model_server) as model:
        model_server.fail("cut")
        with pytest.raises(TransientError):
            await model.embed(["a text"])
        model_server.control(models=["another"])
        model_server.control(faults=[])
        with pytest.raises(FatalError, match="test-embedding"):
            await model.embed(["a text"])


# -- what it takes ----------------------------------------------------------------------------------------------------


async def test_each_request_that_was_answered_is_told_with_its_tokens_and_tries(
    model_server: RunningModelServer,
) -> None:
    told: list[Embedded] = []
    heard: list[str] = []
    async with ClientPool() as pool:
        server = Server(model_server.base_url)
        model = OpenAIEmbedder(pool, server, "test-embedding", QUICK, note=told.append, hear=heard.append)
        model_server.fail("status", status=503, count=2)
        await model.embed(["a text"] * 200)
        model_server.fail("status", status=400)
        with pytest.raises(FatalError):
            await model.embed(["another text"])
    assert [(one.model, one.tokens, one.tries) for one in told] == [
        ("test-embedding", 128 * 6 // 4, 3), ("test-embedding", 72 * 6 // 4, 1),
    ]  # fmt: skip
    assert all(0 < one.latency < 5 for one in told)
    assert len(heard) == 2
    assert "503" in heard[0]


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 12, "total_tokens": 12}, 12),
        ({"total_tokens": 7}, 7),
        ({"prompt_tokens": None}, 0),
        ({"prompt_tokens": -5}, 0),
        ({"prompt_tokens": float("inf")}, 0),
        ({"prompt_tokens": "many"}, 0),
        (None, 0),
        ([1], 0),
    ],
)
async def test_tokens_are_what_the_server_says_if_that_makes_sense(usage: object, tokens: int) -> None:
    told: list[Embedded] = []
    item = {"index": 0, "embedding": [0.5, 0.25]}
    async with answering({"data": [item], "usage": usage}) as url, ClientPool() as pool:
        assert await OpenAIEmbedder(pool, Server(url), "m", QUICK, note=told.append).embed(["a"]) == [[0.5, 0.25]]
    assert [one.tokens for one in told] == [tokens]


async def test_replies_that_are_no_use_are_paid_for_too() -> None:
    told: list[Embedded] = []
    async with answering({"data": [], "usage": {"prompt_tokens": 10}}) as url, ClientPool() as pool:
        with pytest.raises(TransientError, match="0 embeddings for 1 texts"):
            await OpenAIEmbedder(pool, Server(url), "m", QUICK, note=told.append).embed(["a"])
    assert [(one.tokens, one.tries) for one in told] == [(30, 3)]


async def test_what_is_no_vector_is_no_list_of_embeddings() -> None:
    async with ClientPool() as pool:
        for sent in (None, ["a"], [None], "AAA", {"a": 1}):
            async with answering({"data": [{"index": 0, "embedding": sent}]}) as url:
                with pytest.raises(TransientError, match="not a list of embeddings"):
                    await OpenAIEmbedder(pool, Server(url), "m", QUICK).embed(["a"])
