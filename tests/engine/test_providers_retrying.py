"""What may pass is tried again, within bounds; what will not pass is not."""

from __future__ import annotations

import asyncio
import time

import pytest

from generation.engine.errors import BadReply, FatalError, TransientError
from generation.engine.providers import (
    AdaptiveLimiter,
    ClientPool,
    Limited,
    OpenAIChat,
    Overloaded,
    Retrying,
    RetryPolicy,
    Server,
)
from tests.engine.provider_parts import SCHEMA, chat, request
from tests.engine.waiting import until
from tests.fixtures_model_server import RunningModelServer

QUICK = RetryPolicy(tries=5, base=0.02, longest=0.1)


@pytest.mark.parametrize("kind", ["status", "cut", "drop", "malformed", "empty", "length", "bad_json"])
async def test_a_fault_costs_a_try_and_not_the_call(model_server: RunningModelServer, kind: str) -> None:
    model_server.fail(kind, count=2)
    async with chat(model_server) as model:
        reply = await Retrying(model, QUICK).complete(request(schema=SCHEMA))
    assert reply.tries == 3
    assert model_server.stats()["total"] == 3
    assert '"instructions"' in reply.text


async def test_a_hanging_server_costs_a_try(model_server: RunningModelServer) -> None:
    model_server.fail("hang", count=1)
    async with chat(model_server, timeout=0.4) as model:
        assert (await Retrying(model, QUICK).complete(request())).tries == 2


async def test_tries_are_bounded(model_server: RunningModelServer) -> None:
    model_server.fail("status", status=503, message="Still down.")
    async with chat(model_server) as model:
        with pytest.raises(Overloaded, match="Still down"):
            await Retrying(model, QUICK).complete(request())
    assert model_server.stats()["total"] == QUICK.tries


async def test_bad_replies_are_bounded_and_their_tokens_are_counted(model_server: RunningModelServer) -> None:
    model_server.fail("empty")
    async with chat(model_server) as model:
        with pytest.raises(BadReply) as caught:
            await Retrying(model, QUICK).complete(request())
    stats = model_server.stats()
    assert stats["total"] == QUICK.bad_replies
    assert (caught.value.prompt_tokens, caught.value.completion_tokens) == (
        stats["prompt_tokens"],
        stats["completion_tokens"],
    )
    assert (caught.value.tries, caught.value.finish_reason) == (QUICK.bad_replies, "stop")


async def test_the_tokens_of_replies_thrown_away_are_on_the_completion(model_server: RunningModelServer) -> None:
    model_server.fail("length", count=1)
    async with chat(model_server) as model:
        reply = await Retrying(model, QUICK).complete(request())
    stats = model_server.stats()
    assert (reply.prompt_tokens, reply.completion_tokens) == (stats["prompt_tokens"], stats["completion_tokens"])


async def test_a_bad_reply_is_asked_for_anew_with_another_seed_and_temperature(
    model_server: RunningModelServer,
) -> None:
    model_server.fail("bad_json", count=2)
    async with chat(model_server) as model:
        await Retrying(model, QUICK).complete(request(schema=SCHEMA, seed=5, temperature=0.2))
    bodies = [one["body"] for one in model_server.requests()]
    assert [body["seed"] for body in bodies] == [5, 6, 7]
    assert [body["temperature"] for body in bodies] == pytest.approx([0.2, 0.35, 0.5])


async def test_what_is_fatal_is_not_tried_again(model_server: RunningModelServer) -> None:
    model_server.control(keys=["another"])
    async with chat(model_server) as model:
        with pytest.raises(FatalError):
            await Retrying(model, QUICK).complete(request())
    assert model_server.stats()["total"] == 1


async def test_the_servers_wish_to_wait_is_granted(model_server: RunningModelServer) -> None:
    model_server.fail("status", status=429, retry_after=0.6, count=1)
    async with chat(model_server) as model:
        assert (await Retrying(model, QUICK).complete(request())).tries == 2
    first, second = (one["at"] for one in model_server.requests())
    assert 0.6 <= second - first < 1.5


async def test_a_wish_beyond_all_patience_ends_the_call_at_once(model_server: RunningModelServer) -> None:
    model_server.fail("status", status=429, retry_after=3600)
    begun = time.monotonic()
    async with chat(model_server) as model:
        with pytest.raises(Overloaded) as caught:
            await Retrying(model, RetryPolicy(patience=5)).complete(request())
    assert time.monotonic() - begun < 2
    assert caught.value.retry_after == 3600


async def test_waiting_is_bounded_in_all(model_server: RunningModelServer) -> None:
    model_server.fail("status", status=503, retry_after=0.2)
    begun = time.monotonic()
    async with chat(model_server) as model:
        with pytest.raises(TransientError):
            await Retrying(model, RetryPolicy(tries=100, base=0.0, patience=0.5)).complete(request())
    assert time.monotonic() - begun < 2
    assert 2 <= model_server.stats()["total"] <= 4


def test_waits_grow_and_are_spread_over_their_whole_length() -> None:
    policy = RetryPolicy(base=1.0, longest=8.0)
    for failures, most in [(1, 1.0), (2, 2.0), (4, 8.0), (30, 8.0)]:
        waits = [policy.wait(failures, None) for _ in range(300)]
        assert 0 <= min(waits) < 0.2 * most
        assert 0.8 * most < max(waits) <= most
    wished = [policy.wait(1, 10.0) for _ in range(100)]
    assert min(wished) >= 10.0
    assert len(set(wished)) > 50


async def test_waiting_for_the_next_try_holds_no_place(model_server: RunningModelServer) -> None:
    model_server.fail("status", status=409, count=1)
    async with ClientPool() as pool:
        limiter = AdaptiveLimiter(1)
        model = Retrying(
            Limited(OpenAIChat(pool, Server(model_server.base_url), "m"), limiter), RetryPolicy(base=60, longest=60)
        )
        unlucky = asyncio.create_task(model.complete(request()))
        await until(lambda: model_server.stats()["total"] == 1 and limiter.in_flight == 0)
        assert (await asyncio.wait_for(model.complete(request("Another?")), 5)).tries == 1
        unlucky.cancel()
        with pytest.raises(asyncio.CancelledError):
            await unlucky
        assert limiter.in_flight == 0


@pytest.mark.parametrize("storm", [{"status": 429, "retry_after": 0.3}, {"status": 429}, {"status": 503}])
async def test_a_storm_slows_the_calls_and_all_of_them_come_through(
    model_server: RunningModelServer, storm: dict[str, float]
) -> None:
    async with ClientPool() as pool:
        limiter = AdaptiveLimiter(32)
        policy = RetryPolicy(tries=20, base=0.1, longest=0.5)
        model = Retrying(Limited(OpenAIChat(pool, Server(model_server.base_url), "m"), limiter), policy)
        await model.complete(request("Are you there?"))
        model_server.control(latency=0.02, faults=[{"kind": "status", "seconds": 1.5, **storm}])
        done = await asyncio.gather(*(model.complete(request(f"Number {n}?")) for n in range(100)))
        assert len(done) == 100
        assert max(one.tries for one in done) > 1
        assert limiter.in_flight == 0
    assert model_server.stats()["peak_in_flight"] <= 32


async def test_calls_stop_when_they_are_cancelled_in_the_middle_of_a_storm(model_server: RunningModelServer) -> None:
    model_server.fail("status", status=503)
    async with ClientPool() as pool:
        limiter = AdaptiveLimiter(16)
        model = Retrying(Limited(OpenAIChat(pool, Server(model_server.base_url), "m"), limiter), QUICK)
        calls = [asyncio.create_task(model.complete(request(f"Number {n}?"))) for n in range(64)]
        await until(lambda: model_server.stats()["total"] > 16)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await until(lambda: model_server.stats()["in_flight"] == 0)
        asked = model_server.stats()["total"]
        await asyncio.sleep(0.5)
        assert model_server.stats()["total"] == asked
    assert limiter.in_flight == 0
