"""The engine put together: dialogs made by real calls to the tests' model server, in calm and in storms."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator

import pytest

from generation.engine.dialog import DialogMaker
from generation.engine.evaluators import ModelJudge
from generation.engine.instructions import Contextual
from generation.engine.modifiers import WithRetrieval
from generation.engine.protocols import Brief, ChatModel, Job, Made, Outcome, PersonaSketch, Produce, Speaker
from generation.engine.providers import AdaptiveLimiter, ClientPool, Limited, OpenAIChat, Retrying, RetryPolicy, Server
from generation.engine.respondents import Speaking
from generation.engine.runner import Pace, Runner
from generation.engine.sampling import plan
from generation.engine.simulators import Correspondent
from tests.engine.parts import Library, MemoryDesk, source
from tests.engine.waiting import until
from tests.fixtures_model_server import RunningModelServer

PACE = Pace(orders=0.05, landing=0.02)


@pytest.fixture
async def model(model_server: RunningModelServer) -> AsyncIterator[ChatModel]:
    async with ClientPool() as pool:
        chat = OpenAIChat(pool, Server(base_url=model_server.base_url, api_key="good"), "test-model")
        yield Retrying(Limited(chat, AdaptiveLimiter(16)), RetryPolicy(tries=50, bad_replies=7, base=0.02, longest=0.2))


def desk_of(count: int, turns: int = 3, in_flight: int = 16) -> MemoryDesk:
    ada = PersonaSketch("Ada", "A night nurse with a broken pump.")
    slots = plan(count, seed=1, max_turns=turns, passages=range(5))
    briefs = (Brief(slot.seed, slot.turns, tuple(source(n) for n in slot.contexts), ada) for slot in slots)
    return MemoryDesk(deque(Job(n, f"claim-{n}", brief) for n, brief in enumerate(briefs)), in_flight=in_flight)


def press(model: ChatModel, *, judged: bool = False) -> Produce[Brief, Made]:
    speaker = Speaker(model, temperature=0.7, max_tokens=300)
    parts = DialogMaker(
        instructions=Contextual(speaker),
        simulator=Correspondent(speaker),
        respondent=Speaking(speaker),
        prompt="You help.",
        modifier=WithRetrieval(Library({"": (source(8, score=2.0), source(9, score=1.0))})),
        evaluator=ModelJudge(speaker) if judged else None,
    )

    async def produce(job: Job[Brief]) -> Outcome:
        return await parts.make(job.work)

    return produce


async def test_forty_judged_dialogs_take_exactly_the_calls_they_should(
    model: ChatModel, model_server: RunningModelServer
) -> None:
    desk = desk_of(40)
    turns = [job.work.turns for job in desk.pending]
    tally = await Runner(desk, press(model, judged=True), PACE).run()
    assert (tally.made, tally.failed) == (40, 0)
    assert desk.slots == list(range(40))
    assert model_server.stats()["total"] == sum(1 + 2 * count - 1 + 1 for count in turns)
    for landing in desk.landed:
        assert isinstance(landing.outcome, Made)
        dialog = landing.outcome.dialog
        assert dialog.turns == landing.job.work.turns
        assert all(message.content for message in dialog.messages)
        assert all(step.prompt_tokens and step.completion_tokens for step in dialog.trace.steps)
        assert landing.outcome.verdict is not None
        assert landing.outcome.verdict.overall is not None


async def test_storms_slow_a_run_down_and_it_completes(model: ChatModel, model_server: RunningModelServer) -> None:
    storms = [{"kind": "status", "status": status, "count": 15} for status in (429, 503)]
    spoilt = [{"kind": kind, "count": 2} for kind in ("cut", "drop", "malformed", "bad_json", "empty", "length")]
    model_server.control(faults=[*storms, *spoilt])
    desk = desk_of(30)
    tally = await Runner(desk, press(model), PACE).run()
    assert (tally.made, tally.errors) == (30, {})


async def test_a_refused_key_stops_the_run_with_the_servers_words(
    model: ChatModel, model_server: RunningModelServer
) -> None:
    model_server.control(keys=["another"])
    desk = desk_of(50)
    tally = await asyncio.wait_for(Runner(desk, press(model), PACE).run(), 10)
    assert "Incorrect API key" in tally.fatal
    assert tally.made == 0
    assert model_server.stats()["total"] <= 32
    assert len(desk.landed) + len(desk.released) + len(desk.pending) == 50


async def test_an_abort_stops_calls_within_two_seconds(model: ChatModel, model_server: RunningModelServer) -> None:
    model_server.control(latency=0.3)
    desk = desk_of(500)
    running = asyncio.create_task(Runner(desk, press(model)).run())
    await until(lambda: model_server.stats()["total"] > 30)
    desk.state, ordered = "abort", time.time()
    await running
    await asyncio.sleep(0.5)
    stats = model_server.stats()
    assert stats["last_request"] - ordered < 1
    assert stats["in_flight"] == 0
    assert len(desk.landed) + len(desk.released) + len(desk.pending) == 500
