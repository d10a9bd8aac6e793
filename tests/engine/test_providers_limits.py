"""The limit on requests in flight follows what the server can bear, and loses no place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from generation.engine.errors import TransientError
from generation.engine.protocols import ChatRequest, Completion
from generation.engine.providers import AdaptiveLimiter, ClientPool, Limited, OpenAIChat, Overloaded, Server
from generation.engine.providers import limits as limits_module
from tests.engine.provider_parts import chat, request
from tests.engine.waiting import until
from tests.fixtures_model_server import RunningModelServer


class Told:
    """A model that does what the test tells it."""

    def __init__(self, answer: Callable[[], Awaitable[Completion]]) -> None:
        self._answer = answer

    async def complete(self, request: ChatRequest) -> Completion:
        return await self._answer()


async def fine() -> Completion:
    await asyncio.sleep(0)
    return Completion("yes", "told")


async def refuse() -> Completion:
    await asyncio.sleep(0)
    raise Overloaded("less, please")


async def test_no_more_than_the_limit_are_in_flight_at_the_server(model_server: RunningModelServer) -> None:
    model_server.control(latency=0.05)
    async with chat(model_server) as model:
        limited = Limited(model, AdaptiveLimiter(4))
        await asyncio.gather(*(limited.complete(request(seed=seed)) for seed in range(40)))
    stats = model_server.stats()
    assert stats["total"] == 40
    assert stats["peak_in_flight"] == 4


async def test_a_refusal_cuts_the_limit_once_a_window_and_success_grows_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits_module, "WINDOW", 0.2)
    limiter = AdaptiveLimiter(64)
    bad, good = Limited(Told(refuse), limiter), Limited(Told(fine), limiter)
    await asyncio.gather(*(bad.complete(request()) for _ in range(64)), return_exceptions=True)
    assert limiter.limit == 32
    await asyncio.sleep(0.25)
    await asyncio.gather(*(bad.complete(request()) for _ in range(32)), return_exceptions=True)
    assert limiter.limit == 16
    await asyncio.gather(*(good.complete(request()) for _ in range(16)))
    assert 16 < limiter.limit < 32
    for _ in range(16):
        await asyncio.gather(*(good.complete(request()) for _ in range(limiter.limit)))
    assert limiter.limit == 64


async def test_a_refusal_cuts_what_is_in_flight_and_not_an_unused_limit() -> None:
    limiter = AdaptiveLimiter(256)
    with pytest.raises(Overloaded):
        await Limited(Told(refuse), limiter).complete(request())
    assert limiter.limit == 1


async def test_errors_that_say_nothing_of_load_do_not_cut_the_limit() -> None:
    async def broken() -> Completion:
        raise TransientError("cut")

    limiter = AdaptiveLimiter(8)
    for _ in range(5):
        with pytest.raises(TransientError):
            await Limited(Told(broken), limiter).complete(request())
    assert (limiter.limit, limiter.in_flight) == (8, 0)


async def test_everybody_waits_while_the_server_wants_a_pause() -> None:
    limiter = AdaptiveLimiter(8)
    limiter.overloaded(0.3)
    begun = time.monotonic()
    await asyncio.gather(*(Limited(Told(fine), limiter).complete(request()) for _ in range(5)))
    assert 0.28 <= time.monotonic() - begun < 1


async def test_places_are_given_in_the_order_of_asking() -> None:
    limiter, order = AdaptiveLimiter(1), []

    async def one(number: int) -> None:
        await limiter.acquire()
        order.append(number)
        await asyncio.sleep(0)
        limiter.release()

    await asyncio.gather(*(one(number) for number in range(20)))
    assert order == list(range(20))


async def test_cancelled_waiters_leave_no_place_behind() -> None:
    limiter = AdaptiveLimiter(2)
    for _ in range(2):
        await limiter.acquire()
    waiting = [asyncio.create_task(limiter.acquire()) for _ in range(10)]
    await asyncio.sleep(0)
    for task in waiting[::2]:
        task.cancel()
    limiter.release()
    waiting[1].cancel()  # admitted by the release, cancelled before it ran
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert waiting[3].done()
    assert limiter.in_flight == 2
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    for _ in range(2):
        limiter.release()
    assert limiter.in_flight == 0
    await asyncio.wait_for(limiter.acquire(), 1)


async def test_a_cancelled_call_gives_its_place_back(model_server: RunningModelServer) -> None:
    model_server.fail("hang")
    limiter = AdaptiveLimiter(3)
    async with ClientPool() as pool:
        limited = Limited(OpenAIChat(pool, Server(model_server.base_url), "m"), limiter)
        calls = [asyncio.create_task(limited.complete(request())) for _ in range(9)]
        await until(lambda: model_server.stats()["in_flight"] == 3)
        assert limiter.in_flight == 3
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert limiter.in_flight == 0
        model_server.control(faults=[])
        assert (await limited.complete(request())).text


async def test_the_ceiling_can_be_changed_while_calls_wait() -> None:
    limiter = AdaptiveLimiter(1)
    await limiter.acquire()
    waiting = [asyncio.create_task(limiter.acquire()) for _ in range(5)]
    await asyncio.sleep(0)
    limiter.ceiling = 4
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert limiter.in_flight == 4
    limiter.ceiling = 2
    limiter.release()
    limiter.release()
    await asyncio.sleep(0)
    assert limiter.in_flight == 2
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
