"""Keys of an endpoint are shared by all worker processes: their turns, their limits, their rests and refusals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from django.db import connections
from redis import Redis

from datasets.models import Project
from generation.adapters import keyring
from generation.adapters.keyring import SharedKeys, uses_of
from generation.engine.errors import FatalError, TransientError
from generation.engine.providers import KeyRules, OutOfCalls, Overloaded, RateLimited
from generation.models import Endpoint, EndpointKey
from tests.generation.key_parts import committed, forget_all_keys, key, lent, make_endpoint, ring, run

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint(project: Project) -> Endpoint:
    return make_endpoint(project)


@pytest.fixture(autouse=True)
def redis() -> Redis:
    return forget_all_keys()


# -- as in one process, for all -----------------------------------------------------------------------------------------


def test_keys_take_turns_whoever_asks(endpoint: Endpoint) -> None:
    for secret in ("sk-a", "sk-b", "sk-c"):
        key(endpoint, secret)

    async def work(one: SharedKeys, two: SharedKeys) -> list[str]:
        return [secret for of in (one, two, two, one, two) for secret in await lent(of, 1)]

    assert run(work, ring(endpoint), ring(endpoint)) == ["sk-a", "sk-b", "sk-c", "sk-a", "sk-b"]


def test_a_rate_limited_key_rests_for_everybody(endpoint: Endpoint, redis: Redis) -> None:
    first = key(endpoint, "sk-a")
    key(endpoint, "sk-b")

    async def work(one: SharedKeys, two: SharedKeys) -> list[str]:
        await one.settle(await one.lend(0), RateLimited("less", retry_after=30))
        during = await lent(two, 3)
        redis.hincrby(keyring.hash_name(first.pk), "rests", -31_000)  # as if so long had passed
        return [*during, *await lent(two, 2)]

    assert run(work, ring(endpoint), ring(endpoint)) == ["sk-b", "sk-b", "sk-b", "sk-a", "sk-b"]


def test_when_all_keys_rest_a_call_waits_for_the_first_and_says_so(endpoint: Endpoint) -> None:
    key(endpoint, "sk-a")
    key(endpoint, "sk-b")
    heard: list[str] = []

    async def work(of: SharedKeys) -> tuple[str, float]:
        begun = time.monotonic()
        for wish in (60, 2):
            await of.settle(await of.lend(0), RateLimited("less", retry_after=wish))
        with pytest.raises(TransientError, match="Every one of the 2 keys of this endpoint rests"):
            await of.lend(0.1)
        return (await of.lend(5)).secret, time.monotonic() - begun

    secret, waited = run(work, ring(endpoint, heard=heard))
    assert secret == "sk-b"
    assert 2 <= waited < 6
    assert len(heard) == 1
    assert heard[0].startswith("Every one of the 2 keys of this endpoint rests: the next call is made in ")


def test_a_429_that_names_no_time_rests_its_key_longer_each_time(endpoint: Endpoint, redis: Redis) -> None:
    first = key(endpoint, "sk-a")
    key(endpoint, "sk-b")

    async def work(of: SharedKeys) -> list[int]:
        rests = []
        await of.settle((await of.lend(0), await of.lend(0))[1], RateLimited("less", retry_after=1000))
        for _ in range(3):
            one = await of.lend(0)
            for _ in range(3):
                await of.settle(one, RateLimited("less"))
            with pytest.raises(TransientError) as caught:
                await of.lend(0)
            rests.append(round(caught.value.retry_after or 0))
            redis.hdel(keyring.hash_name(first.pk), "rests")
        return rests

    assert run(work, ring(endpoint)) == [1, 2, 4]


def test_a_key_that_fails_cools_down_for_everybody_unless_it_is_the_last(endpoint: Endpoint) -> None:
    key(endpoint, "sk-a")
    key(endpoint, "sk-b")
    rules = KeyRules(errors=3, apart=0, cooldown=60)

    async def work(one: SharedKeys, two: SharedKeys) -> list[str]:
        a, b = await one.lend(0), await one.lend(0)
        for _ in range(2):
            await one.settle(a, Overloaded("down"))
        await lent(one, 2)  # it is told that something is held against the key, and so tells that it works again
        await one.settle(a, None)
        for _ in range(3):
            assert "sk-a" in await lent(two, 2)
            await two.settle(a, Overloaded("down"))
        after = await lent(one, 2)
        for _ in range(5):
            await one.settle(b, Overloaded("down"))
        return [*after, *await lent(two, 1)]

    assert run(work, ring(endpoint, rules), ring(endpoint, rules)) == ["sk-b", "sk-b", "sk-b"]


def test_limits_are_of_the_hour_and_the_day(endpoint: Endpoint, redis: Redis) -> None:
    row = key(endpoint, "sk-a", hourly_limit=2, daily_limit=3)
    name = keyring.hash_name(row.pk)

    async def work(of: SharedKeys) -> None:
        await lent(of, 2)
        with pytest.raises(OutOfCalls, match="made the calls that its limit allows") as caught:
            await of.lend(0)
        assert 0 < caught.value.retry_after <= 3600
        redis.hincrby(name, "hour", -1)  # as if these calls were of the hour before
        assert await lent(of, 1) == ["sk-a"]
        with pytest.raises(OutOfCalls) as caught:
            await of.lend(0)
        assert 0 < caught.value.retry_after <= 86400
        redis.hincrby(name, "day", -1)
        assert await lent(of, 1) == ["sk-a"]

    run(work, ring(endpoint))
    use = uses_of([row])[row.pk]
    assert (use.calls_hour, use.calls_day) == (2, 1)


@committed
def test_everything_in_redis_expires(endpoint: Endpoint, redis: Redis) -> None:
    key(endpoint, "sk-a")
    key(endpoint, "sk-b")
    keyring.announce_change(endpoint.pk)

    async def work(of: SharedKeys) -> None:
        a, b = await of.lend(0), await of.lend(0)
        await of.settle(a, RateLimited("less", retry_after=5))
        await of.settle(b, Overloaded("down", retry_after=9))

    run(work, ring(endpoint))
    names = list(redis.scan_iter("endpoint:*"))
    assert len(names) == 4
    assert all(0 < redis.ttl(name) <= 2 * 86400 for name in names)


def test_when_redis_forgets_all_keys_are_lent_as_if_they_were_new(endpoint: Endpoint, redis: Redis) -> None:
    key(endpoint, "sk-a", daily_limit=2)
    key(endpoint, "sk-b", daily_limit=2)

    async def work(of: SharedKeys) -> list[str]:
        await lent(of, 4)
        redis.flushdb()
        redis.script_flush()
        return await lent(of, 4)

    assert sorted(run(work, ring(endpoint))) == ["sk-a", "sk-a", "sk-b", "sk-b"]


def test_lending_a_key_is_one_round_trip(endpoint: Endpoint, redis: Redis) -> None:
    for number in range(4):
        key(endpoint, f"sk-{number}", hourly_limit=100_000)

    def scripts() -> int:
        return redis.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]

    async def work(of: SharedKeys) -> int:
        await lent(of, 1)  # which may have to bring the script first
        before = scripts()
        await lent(of, 10)
        return scripts() - before

    # The server counts for everybody, the tests beside this one too: they add to it now and then, not each time.
    assert min(run(work, ring(endpoint)) for _ in range(5)) == 10


# -- a single key without limits ----------------------------------------------------------------------------------------


def test_a_single_key_without_limits_costs_no_round_trip_a_call_and_is_counted_all_the_same(
    endpoint: Endpoint, redis: Redis
) -> None:
    row = key(endpoint, "sk-a")

    async def work(of: SharedKeys) -> int:
        before = redis.info("stats")["total_commands_processed"]
        for _ in range(500):
            await of.settle(await of.lend(0), None)
        return redis.info("stats")["total_commands_processed"] - before

    assert run(work, ring(endpoint)) < 250  # a look or two, and what other processes of the session say in between
    assert uses_of([row])[row.pk].calls_day == 500


@pytest.mark.parametrize("keyed", [True, False])
def test_a_pause_that_a_server_asks_of_one_worker_holds_the_others_back(endpoint: Endpoint, keyed: bool) -> None:
    if keyed:
        key(endpoint, "sk-a")
    heard: list[str] = []

    async def work(one: SharedKeys, two: SharedKeys) -> float:
        await two.lend(0)
        await one.settle(await one.lend(0), RateLimited("less", retry_after=1.5))
        await asyncio.sleep(keyring.LOOK_EVERY)
        begun = time.monotonic()
        await two.lend(10)
        return time.monotonic() - begun

    assert 0.7 < run(work, ring(endpoint), ring(endpoint, heard=heard)) < 3
    assert heard == ["The server has asked for a pause: the next call is made in 1 s."]


def test_a_pause_holds_back_who_has_many_keys_too_when_it_is_the_server_that_fails(endpoint: Endpoint) -> None:
    key(endpoint, "sk-a")
    key(endpoint, "sk-b")

    async def work(one: SharedKeys, two: SharedKeys) -> None:
        await one.settle(await one.lend(0), Overloaded("down", retry_after=30))
        with pytest.raises(TransientError, match="asked for a pause"):
            await two.lend(5)

    run(work, ring(endpoint), ring(endpoint))


# -- what people change -------------------------------------------------------------------------------------------------


@committed
def test_keys_that_are_added_or_switched_off_are_taken_up_by_workers_that_are_at_work(endpoint: Endpoint) -> None:
    first = key(endpoint, "sk-a")

    async def changed(change: Callable[[], object]) -> None:
        def commit() -> None:
            change()
            keyring.announce_change(endpoint.pk)
            connections.close_all()

        await asyncio.to_thread(commit)

    async def work(of: SharedKeys) -> list[str]:
        said = await lent(of, 1)
        await changed(lambda: key(endpoint, "sk-b"))
        await asyncio.sleep(keyring.LOOK_EVERY)
        said += sorted(await lent(of, 2))
        await changed(lambda: EndpointKey.objects.filter(pk=first.pk).update(active=False))
        said += await lent(of, 2)
        await changed(lambda: EndpointKey.objects.update(active=False))
        await asyncio.sleep(keyring.LOOK_EVERY)
        with pytest.raises(FatalError, match="Every key of this endpoint is switched off"):
            await of.lend(0)
        await changed(lambda: EndpointKey.objects.update(active=True))
        return said + sorted(await lent(of, 2))

    assert run(work, ring(endpoint)) == ["sk-a", "sk-a", "sk-b", "sk-b", "sk-b", "sk-a", "sk-b"]
