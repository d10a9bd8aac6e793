"""Several keys of one server take turns, rest when they must, and are put aside when the server refuses them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from generation.engine.errors import DialogError, EngineError, FatalError, TransientError
from generation.engine.providers import (
    AdaptiveLimiter,
    ClientPool,
    Key,
    KeyPool,
    KeyRefused,
    KeyRules,
    Limited,
    OpenAIChat,
    OpenAIEmbedder,
    OutOfCalls,
    Overloaded,
    RateLimited,
    Retrying,
    RetryPolicy,
    Server,
)
from tests.engine.provider_parts import chat, request
from tests.fixtures_model_server import RunningModelServer

NOON = 86400.0 * 20000 + 12 * 3600


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def keys(*ids: str, **limits: int) -> list[Key]:
    return [Key(one, f"sk-{one}", **limits) for one in ids]


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def lent(pool: KeyPool, times: int, patience: float = 0) -> list[str]:
    return [(await pool.lend(patience)).id for _ in range(times)]


# -- which key ----------------------------------------------------------------------------------------------------------


async def test_the_key_that_was_lent_longest_ago_is_next(clock: Clock) -> None:
    assert await lent(KeyPool(keys("a", "b", "c"), clock=clock), 7) == ["a", "b", "c", "a", "b", "c", "a"]


async def test_no_more_calls_are_made_in_an_hour_and_a_day_than_the_limits_allow(clock: Clock) -> None:
    pool = KeyPool([Key("a", "sk-a", hourly_limit=2, daily_limit=3), Key("b", "sk-b", daily_limit=1)], clock=clock)
    assert await lent(pool, 3) == ["a", "b", "a"]
    with pytest.raises(
        OutOfCalls, match=r"Every one of the 2 keys .* in 60 min: .* add a key, or raise the limit"
    ) as e:
        await pool.lend(3599)
    assert e.value.retry_after == 3600
    clock.now += 3600
    assert await lent(pool, 1) == ["a"]
    with pytest.raises(OutOfCalls) as caught:
        await pool.lend(3600)
    assert caught.value.retry_after == 11 * 3600  # until midnight, in UTC
    clock.now += 11 * 3600
    assert sorted(await lent(pool, 3)) == ["a", "a", "b"]


async def test_hours_are_those_of_the_clock(clock: Clock) -> None:
    clock.now += 3590
    pool = KeyPool(keys("a", hourly_limit=1), clock=clock)
    await pool.lend(0)
    with pytest.raises(OutOfCalls, match=r"The key of this endpoint has made the calls .* in 10 s"):
        await pool.lend(0)
    clock.now += 10
    await pool.lend(0)


async def test_a_rate_limited_key_rests_for_as_long_as_the_server_says_and_the_others_go_on(clock: Clock) -> None:
    pool = KeyPool(keys("a", "b"), clock=clock)
    await pool.settle(await pool.lend(0), RateLimited("less", retry_after=30))
    assert await lent(pool, 3) == ["b", "b", "b"]
    clock.now += 30
    assert await lent(pool, 2) == ["a", "b"]


async def test_a_429_that_names_no_time_rests_its_key_longer_each_time_in_a_row(clock: Clock) -> None:
    pool = KeyPool(keys("a", "b"), clock=clock)
    await pool.settle((await pool.lend(0), await pool.lend(0))[1], RateLimited("less", retry_after=1000))
    for expected in (1, 2, 4, 8, 16, 32, 60, 60):
        key = await pool.lend(0)
        for _ in range(5):  # those in flight are refused together: one piece of news
            await pool.settle(key, RateLimited("less"))
        with pytest.raises(TransientError) as caught:
            await pool.lend(0)
        assert caught.value.retry_after == expected
        clock.now += expected
    await pool.settle(await pool.lend(0), None)
    await pool.settle(await pool.lend(0), RateLimited("less"))
    with pytest.raises(TransientError, match="in 1 s"):
        await pool.lend(0)


async def test_a_429_that_names_no_time_does_not_rest_the_only_key() -> None:
    """How many calls may be in flight is found out by the limit around the model."""
    pool = KeyPool(keys("a"))
    await pool.settle(await pool.lend(0), RateLimited("less"))
    assert await lent(pool, 1) == ["a"]


async def test_a_key_that_fails_again_and_again_cools_down_while_another_is_free(clock: Clock) -> None:
    pool = KeyPool(keys("a", "b"), KeyRules(errors=3, cooldown=60), clock=clock)
    a, b = await pool.lend(0), await pool.lend(0)

    async def fail(key: Key, times: int) -> None:
        for _ in range(times):
            await pool.settle(key, TransientError("cut"))
            clock.now += 1

    await fail(a, 2)
    await pool.settle(a, None)
    await fail(a, 2)
    assert await lent(pool, 2) == ["a", "b"]
    await fail(a, 1)
    assert await lent(pool, 2) == ["b", "b"]
    await fail(b, 10)  # the last one: it is the server that fails
    assert await lent(pool, 1) == ["b"]
    clock.now += 60
    assert "a" in await lent(pool, 2)


async def test_failures_in_the_same_moment_are_one_failure(clock: Clock) -> None:
    pool = KeyPool(keys("a", "b"), KeyRules(errors=3), clock=clock)
    a = await pool.lend(0)
    for _ in range(50):
        await pool.settle(a, Overloaded("down"))
    assert await lent(pool, 2) == ["b", "a"]


async def test_what_is_wrong_with_a_request_says_nothing_against_the_key(clock: Clock) -> None:
    pool = KeyPool(keys("a", "b"), KeyRules(errors=1), clock=clock)
    for error in (DialogError("too long"), FatalError("no such model"), None):
        await pool.settle(await pool.lend(0), error)
        clock.now += 5
    assert await lent(pool, 2) == ["b", "a"]


async def test_a_refused_key_is_lent_only_when_no_other_is_left_and_is_tried_again_later(clock: Clock) -> None:
    pool = KeyPool(keys("a", "b"), KeyRules(aside=3600), clock=clock)
    a, b = await pool.lend(0), await pool.lend(0)
    await pool.settle(a, KeyRefused("no"))
    assert await lent(pool, 2) == ["b", "b"]
    await pool.settle(b, RateLimited("less", retry_after=5))
    with pytest.raises(TransientError):
        await pool.lend(0)  # the other one is coming back
    clock.now += 5
    await pool.settle(b, KeyRefused("no"))
    assert set(await lent(pool, 2)) == {"a", "b"}
    await pool.settle(b, None)  # somebody has mended it
    assert await lent(pool, 2) == ["b", "b"]
    clock.now += 3600
    assert await lent(pool, 1) == ["a"]


async def test_a_pool_needs_a_key() -> None:
    with pytest.raises(ValueError, match="at least one"):
        KeyPool([])


async def test_a_key_is_not_in_its_own_description() -> None:
    assert "sk-a" not in repr(keys("a"))
    assert "sk-a" not in repr(Server("http://localhost", keys=KeyPool(keys("a"))))


# -- waiting ------------------------------------------------------------------------------------------------------------


async def test_who_needs_a_key_waits_for_the_first_and_is_heard_while_the_loop_goes_on() -> None:
    heard: list[str] = []
    pool = KeyPool(keys("a", "b"), hear=heard.append)
    begun = time.monotonic()
    for wish in (9.0, 1.0):
        await pool.settle(await pool.lend(0), RateLimited("less", retry_after=wish))
    ticks = 0
    waiting = [asyncio.create_task(pool.lend(5)) for _ in range(20)]
    while not all(task.done() for task in waiting):
        await asyncio.sleep(0.02)
        ticks += 1
    assert {task.result().id for task in waiting} == {"b"}
    assert 1.0 <= time.monotonic() - begun < 4
    assert ticks >= 15
    assert set(heard) == {"Every one of the 2 keys of this endpoint rests: the next call is made in 1 s."}
    assert len(heard) == 20


async def test_who_would_have_to_wait_too_long_is_told_at_once() -> None:
    pool = KeyPool(keys("a"))
    await pool.settle(await pool.lend(0), RateLimited("less", retry_after=300))
    begun = time.monotonic()
    with pytest.raises(TransientError, match="in 5 min") as caught:
        await pool.lend(30)
    assert time.monotonic() - begun < 0.2
    assert 299 < (caught.value.retry_after or 0) <= 300


# -- on a server --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def ringed(server: RunningModelServer, *ids: str, **limits: int) -> AsyncIterator[OpenAIChat]:
    async with chat(server, keys=KeyPool(keys(*ids, **limits)), patience=2) as model:
        yield model


async def test_calls_are_shared_among_the_keys(model_server: RunningModelServer) -> None:
    async with ringed(model_server, "a", "b", "c") as model:
        await asyncio.gather(*(model.complete(request(seed=seed)) for seed in range(30)))
    assert model_server.stats()["keys"] == {"sk-a": 10, "sk-b": 10, "sk-c": 10}


async def test_a_429_on_one_key_moves_the_traffic_to_the_other_and_leaves_the_limit_alone(
    model_server: RunningModelServer,
) -> None:
    model_server.fail("status", status=429, retry_after=60, key="sk-a")
    limiter = AdaptiveLimiter(8)
    async with ringed(model_server, "a", "b") as model:
        limited = Limited(model, limiter)
        begun = time.monotonic()
        for seed in range(20):
            await limited.complete(request(seed=seed))
    assert time.monotonic() - begun < 5
    assert model_server.stats()["keys"] == {"sk-a": 1, "sk-b": 20}
    assert limiter.limit == 8


@pytest.mark.parametrize("ids", ["a", "ab"])
async def test_when_every_key_is_rate_limited_the_server_wants_less_and_the_next_call_waits(
    model_server: RunningModelServer, ids: str
) -> None:
    model_server.fail("status", status=429, retry_after="0.5", count=len(ids))
    begun = time.monotonic()
    async with ringed(model_server, *ids) as model:
        with pytest.raises(Overloaded) as caught:
            await model.complete(request())
        assert caught.value.retry_after is None
        assert (await model.complete(request())).text
    assert time.monotonic() - begun > 0.5
    assert model_server.stats()["total"] == len(ids) + 1


@pytest.mark.parametrize(("status", "code"), [(401, None), (403, None), (402, None), (429, "insufficient_quota")])
async def test_a_refused_key_is_put_aside_and_the_calls_are_made_with_the_other(
    model_server: RunningModelServer, status: int, code: str | None
) -> None:
    model_server.fail("status", status=status, code=code, key="sk-a")
    async with ringed(model_server, "a", "b") as model:
        for seed in range(6):
            assert (await model.complete(request(seed=seed))).text
    assert model_server.stats()["keys"] == {"sk-a": 1, "sk-b": 6}


async def test_when_the_last_key_is_refused_the_error_is_fatal_and_a_mended_key_works_at_once(
    model_server: RunningModelServer,
) -> None:
    model_server.control(keys=["sk-other"])
    async with ringed(model_server, "a", "b") as model:
        with pytest.raises(FatalError, match=r"refuses all 2 keys .* does not accept this API key \(401\)"):
            await model.complete(request())
        model_server.control(keys=["sk-b"])
        assert (await model.complete(request())).text


async def test_a_key_that_rests_keeps_the_refusal_of_another_from_ending_the_run(
    model_server: RunningModelServer,
) -> None:
    faults = [
        {"kind": "status", "status": 429, "retry_after": 1, "key": "sk-a", "count": 1},
        {"kind": "status", "status": 401, "key": "sk-b"},
    ]
    model_server.control(faults=faults)
    async with ringed(model_server, "a", "b") as model:
        with pytest.raises(Overloaded):
            await model.complete(request())
        assert (await model.complete(request())).text
    assert model_server.stats()["keys"] == {"sk-a": 2, "sk-b": 1}


async def test_a_moderated_request_does_not_cost_a_key(model_server: RunningModelServer) -> None:
    model_server.fail("status", status=403, count=1, message='Requires moderation. Your input was flagged for "x".')
    async with ringed(model_server, "a", "b") as model:
        with pytest.raises(DialogError, match="content filter"):
            await model.complete(request())
        for seed in range(4):
            await model.complete(request(seed=seed))
    assert model_server.stats()["keys"] == {"sk-a": 3, "sk-b": 2}


async def test_a_limit_counts_every_request_to_the_server_and_is_kept_while_calls_are_in_flight_together(
    model_server: RunningModelServer,
) -> None:
    model_server.control(refuses=["json_schema"], latency=0.05)
    async with ringed(model_server, "a", "b", daily_limit=5) as model:
        asked = [request(seed=seed, schema={"type": "object"} if seed == 0 else None) for seed in range(20)]
        outcomes = await asyncio.gather(*map(model.complete, asked), return_exceptions=True)
    assert model_server.stats()["keys"] == {"sk-a": 5, "sk-b": 5}
    assert sum(isinstance(outcome, OutOfCalls) for outcome in outcomes) >= 10
    assert all(not isinstance(outcome, EngineError) or isinstance(outcome, OutOfCalls) for outcome in outcomes)


async def test_embeddings_are_paid_for_by_the_same_keys(model_server: RunningModelServer) -> None:
    model_server.fail("status", status=401, key="sk-a")
    async with ClientPool() as pool:
        server = Server(model_server.base_url, keys=KeyPool(keys("a", "b")))
        vectors = await OpenAIEmbedder(pool, server, "test-embedding", batch=2).embed(["one", "two", "three"])
    assert len(vectors) == 3
    assert model_server.stats()["keys"] == {"sk-a": 1, "sk-b": 2}


async def test_an_embedder_waits_no_longer_for_a_key_than_for_an_answer(model_server: RunningModelServer) -> None:
    pool = KeyPool(keys("a"))
    await pool.settle(await pool.lend(0), RateLimited("less", retry_after=2))
    async with ClientPool() as clients:
        server = Server(model_server.base_url, keys=pool)
        with pytest.raises(TransientError, match="in 2 s"):
            await OpenAIEmbedder(clients, server, "test-embedding", RetryPolicy(tries=1, patience=1)).embed(["one"])
    assert model_server.stats()["total"] == 0


async def test_a_model_with_keys_retries_until_one_of_them_is_free(model_server: RunningModelServer) -> None:
    model_server.fail("status", status=429, retry_after=1, seconds=0.9)
    async with ringed(model_server, "a", "b") as chat_model:
        model = Retrying(Limited(chat_model, AdaptiveLimiter(4)), RetryPolicy(base=0.05, longest=0.1, patience=10))
        replies = await asyncio.gather(*(model.complete(request(seed=seed)) for seed in range(8)))
    assert all(reply.text for reply in replies)
