"""What becomes of calls to a real model server is made of its keys, by one worker process and by two."""

from __future__ import annotations

import asyncio

import pytest

from datasets.models import Project
from generation.adapters.keyring import uses_of
from generation.adapters.speaking import Switchboard, server_of
from generation.engine.errors import FatalError
from generation.engine.protocols import ChatRequest, Turn
from generation.engine.providers import ClientPool, OpenAIEmbedder, RetryPolicy
from generation.engine.providers.retrying import USUAL
from generation.models import Endpoint, EndpointKey
from tests.fixtures_model_server import RunningModelServer
from tests.generation import asking
from tests.generation.key_parts import committed, forget_all_keys, key, make_endpoint

pytestmark = pytest.mark.django_db
ONCE = RetryPolicy(tries=1)


async def asked(switchboard: Switchboard, endpoint: Endpoint, times: int) -> None:
    model = switchboard.model(endpoint.pk, "test-model", ONCE)
    for number in range(times):
        assert (await model.complete(ChatRequest("test", (Turn("user", f"Say {number}."),)))).text


def speak(endpoint: Endpoint, times: int, heard: list[str] | None = None) -> None:
    async def work() -> None:
        async with ClientPool() as pool:
            switchboard = Switchboard([endpoint], pool)
            switchboard.hear = ([] if heard is None else heard).append
            await asked(switchboard, endpoint, times)

    endpoint = Endpoint.objects.prefetch_related("keys").get(pk=endpoint.pk)
    asyncio.run(work())


@pytest.fixture
def served(project: Project, model_server: RunningModelServer) -> Endpoint:
    forget_all_keys()
    return make_endpoint(project, model_server.base_url)


@committed
def test_a_refused_key_is_put_aside_and_kept_with_the_servers_words_while_the_other_makes_the_calls(
    served: Endpoint, model_server: RunningModelServer
) -> None:
    bad, good = key(served, "sk-bad"), key(served, "sk-good")
    model_server.control(keys=["sk-good"])
    heard: list[str] = []

    speak(served, 4, heard)
    speak(served, 4, heard)

    assert model_server.stats()["keys"] == {"sk-bad": 1, "sk-good": 8}
    bad.refresh_from_db()
    good.refresh_from_db()
    assert bad.refused
    assert "does not accept this API key (401)" in bad.refusal
    assert "sk-bad" not in bad.refusal
    assert good.refused is None
    assert uses_of([bad, good])[bad.pk].aside
    assert len(heard) == 1
    assert "put aside" in heard[0]


@committed
def test_a_key_that_works_again_is_no_longer_called_refused(served: Endpoint, model_server: RunningModelServer) -> None:
    rows = [key(served, "sk-a"), key(served, "sk-b")]
    model_server.control(keys=["sk-other"])
    with pytest.raises(FatalError, match="refuses all 2 keys"):
        speak(served, 1)
    assert EndpointKey.objects.exclude(refused=None).count() == 2

    model_server.control(keys=["sk-a", "sk-b"])
    speak(served, 2)
    speak(served, 2)

    assert EndpointKey.objects.filter(refused=None, refusal="").exists()
    assert not all(use.aside for use in uses_of(rows).values())


@committed
def test_the_refusal_of_an_only_key_is_kept_too_and_ends_the_run(
    served: Endpoint, model_server: RunningModelServer
) -> None:
    row = key(served, "sk-a")
    model_server.control(keys=["sk-other"])
    with pytest.raises(FatalError, match=r"^The server does not accept this API key \(401\)"):
        speak(served, 1)
    row.refresh_from_db()
    assert row.refused
    model_server.control(keys=["sk-a"])
    speak(served, 1)
    row.refresh_from_db()
    assert (row.refused, row.refusal) == (None, "")


def test_embeddings_use_the_same_keys(served: Endpoint, model_server: RunningModelServer) -> None:
    key(served, "sk-a", daily_limit=2)
    key(served, "sk-b", daily_limit=1)

    server = server_of(served)

    async def work() -> int:
        async with ClientPool() as pool:
            embedder = OpenAIEmbedder(pool, server, "test-embedding", USUAL, batch=1)
            return len(await embedder.embed(["one", "two", "three"]))

    assert asyncio.run(work()) == 3
    assert model_server.stats()["keys"] == {"sk-a": 2, "sk-b": 1}


def test_what_is_embedded_is_in_flight_together_with_what_is_said(
    served: Endpoint, model_server: RunningModelServer
) -> None:
    model_server.control(latency=0.05)

    async def work() -> None:
        async with ClientPool() as pool:
            switchboard = Switchboard([endpoint], pool, lines=2)
            embedder = switchboard.embedder(endpoint.pk, "test-embedding")
            said = [asked(switchboard, endpoint, 1) for _ in range(6)]
            await asyncio.gather(*said, *(embedder.embed([f"text {number}"]) for number in range(6)))

    endpoint = Endpoint.objects.prefetch_related("keys").get(pk=served.pk)
    asyncio.run(work())
    assert (model_server.stats()["total"], model_server.stats()["peak_in_flight"]) == (12, 2)


@committed
def test_two_processes_make_exactly_the_calls_that_a_daily_limit_allows(
    served: Endpoint, model_server: RunningModelServer
) -> None:
    rows = [key(served, "sk-a", daily_limit=37), key(served, "sk-b", daily_limit=20)]
    model_server.control(latency=0.01)

    answers = [asking.answer_of(process) for process in [asking.start(served.pk, 60) for _ in range(2)]]

    assert model_server.stats()["keys"] == {"sk-a": 37, "sk-b": 20}
    assert sum(answer.get("answered", 0) for answer in answers) == 57
    assert sum(answer.get("OutOfCalls", 0) for answer in answers) == 120 - 57
    assert [uses_of(rows)[row.pk].calls_day for row in rows] == [37, 20]


@committed
def test_a_429_told_to_one_process_moves_the_traffic_of_both_to_the_other_key(
    served: Endpoint, model_server: RunningModelServer
) -> None:
    key(served, "sk-a")
    key(served, "sk-b")
    model_server.fail("status", status=429, retry_after=60, key="sk-a")
    speak(served, 1)

    answers = [asking.answer_of(process) for process in [asking.start(served.pk, 30) for _ in range(2)]]

    assert answers == [{"answered": 30}, {"answered": 30}]
    assert model_server.stats()["keys"] == {"sk-a": 1, "sk-b": 61}
