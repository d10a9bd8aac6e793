"""The tests' model server keeps what its documentation promises, seen through the official client."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time

import openai
import pytest
from openai import AsyncOpenAI

from tests.engine.waiting import until
from tests.fixtures_model_server import ROOT, RunningModelServer, start_model_server

ASKED = [{"role": "user", "content": "Tell me how reset codes are sent to the owner."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"days": {"type": "integer", "minimum": 1, "maximum": 9}}},
    },
}


def client(server: RunningModelServer, key: str = "any") -> AsyncOpenAI:
    return AsyncOpenAI(base_url=server.base_url, api_key=key, max_retries=0)


async def say(server: RunningModelServer, **more: object) -> openai.types.chat.ChatCompletion:
    async with client(server) as one:
        return await one.chat.completions.create(model="m", messages=ASKED, **more)  # type: ignore[call-overload]


async def test_a_reply_is_made_of_the_prompts_words_and_is_the_same_for_the_same_request(
    model_server: RunningModelServer,
) -> None:
    first, again, other = await say(model_server), await say(model_server), await say(model_server, seed=4)
    text = first.choices[0].message.content or ""
    assert "codes" in text or "owner" in text or "reset" in text
    assert text == again.choices[0].message.content != other.choices[0].message.content
    assert first.choices[0].finish_reason == "stop"
    assert first.usage is not None
    assert first.usage.prompt_tokens > 0
    assert first.usage.completion_tokens > 10
    assert first.usage.total_tokens == first.usage.prompt_tokens + first.usage.completion_tokens


async def test_structured_outputs_satisfy_their_schema(model_server: RunningModelServer) -> None:
    mark = {
        "type": "object",
        "properties": {
            "score": {"type": "integer", "minimum": 1, "maximum": 5},
            "share": {"type": "number", "minimum": 0, "maximum": 1},
            "verdict": {"enum": ["good", "bad"]},
            "fine": {"type": "boolean"},
        },
    }
    schema = {
        "type": "object",
        "properties": {
            "questions": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 4},
            "marks": {"type": "array", "items": {"$ref": "#/$defs/mark"}},
            "note": {"anyOf": [{"type": "string", "maxLength": 12}, {"type": "null"}]},
        },
        "$defs": {"mark": mark},
    }
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    value = json.loads((await say(model_server, response_format=form)).choices[0].message.content or "")
    assert 2 <= len(value["questions"]) <= 4
    assert all(question.endswith("?") for question in value["questions"])
    assert len(value["note"]) <= 12
    for one in value["marks"]:
        assert 1 <= one["score"] <= 5
        assert 0 <= one["share"] <= 1
        assert one["verdict"] in ("good", "bad")
        assert isinstance(one["fine"], bool)


async def test_a_json_object_is_json(model_server: RunningModelServer) -> None:
    reply = await say(model_server, response_format={"type": "json_object"})
    assert isinstance(json.loads(reply.choices[0].message.content or ""), dict)


async def test_tools_are_called_when_they_are_required_and_left_alone_otherwise(
    model_server: RunningModelServer,
) -> None:
    called = (await say(model_server, tools=[WEATHER], tool_choice="required")).choices[0]
    assert called.finish_reason == "tool_calls"
    assert called.message.tool_calls is not None
    assert called.message.tool_calls[0].function.name == "weather"
    assert 1 <= json.loads(called.message.tool_calls[0].function.arguments)["days"] <= 9
    assert (await say(model_server, tools=[WEATHER])).choices[0].message.tool_calls is None


async def test_embeddings_have_the_dimension_that_is_set_and_share_what_texts_share(
    model_server: RunningModelServer,
) -> None:
    model_server.control(dimension=96)
    async with client(model_server) as one:
        texts = ["reset the device", "reset the device now", "billing portal"]
        packed = await one.embeddings.create(model="e", input=texts)
        plain = await one.embeddings.create(model="e", input=texts, encoding_format="float")
    near, alike, far = (item.embedding for item in packed.data)
    assert len(near) == 96
    assert near == pytest.approx(plain.data[0].embedding)
    assert sum(a * b for a, b in zip(near, alike, strict=True)) > sum(a * b for a, b in zip(near, far, strict=True))


async def test_only_the_keys_that_are_set_pass(model_server: RunningModelServer) -> None:
    model_server.control(keys=["right"])
    async with client(model_server, "right") as one:
        assert (await one.models.list()).data
    async with client(model_server, "wrong") as one:
        with pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
            await one.models.list()


async def test_faults_end_after_their_count_or_their_time(model_server: RunningModelServer) -> None:
    model_server.fail("status", status=503, count=2)
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            await say(model_server)
    await say(model_server)
    model_server.fail("status", status=429, seconds=1)
    with pytest.raises(openai.RateLimitError):
        await say(model_server)
    await asyncio.sleep(1.05)
    await say(model_server)


async def test_it_counts_what_it_is_asked(model_server: RunningModelServer) -> None:
    model_server.control(latency=0.2)
    before = time.time()
    await asyncio.gather(*(say(model_server, seed=seed) for seed in range(5)))
    stats = model_server.stats()
    assert stats["requests"] == {"/v1/chat/completions": 5}
    assert stats["peak_in_flight"] == 5
    assert stats["in_flight"] == 0
    assert stats["statuses"] == {"200": 5}
    assert stats["completion_tokens"] > 50
    assert before <= stats["last_request"] <= time.time()
    assert model_server.requests()[-1]["body"]["messages"] == ASKED


async def test_a_client_that_hangs_up_is_no_longer_in_flight(model_server: RunningModelServer) -> None:
    model_server.fail("hang")
    asked = asyncio.create_task(say(model_server))
    await until(lambda: model_server.stats()["in_flight"] == 1)
    asked.cancel()
    await until(lambda: model_server.stats()["in_flight"] == 0)


async def test_a_setting_that_does_not_exist_is_refused(model_server: RunningModelServer) -> None:
    with pytest.raises(Exception, match="400"):
        model_server.control(latencee=1)


def test_it_runs_by_hand_with_faults_from_the_command_line() -> None:
    server, process = start_model_server("--fault", '{"kind": "status", "status": 500}', "--key", "k")
    try:
        assert server.stats()["total"] == 0
    finally:
        process.terminate()
        process.wait(5)


def test_its_help_tells_what_it_does() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "tests.model_server", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "faults on demand" in told.stdout
