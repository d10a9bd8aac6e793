"""What goes wrong at a model server becomes the right class of error, in a sentence that can be acted on."""

from __future__ import annotations

import asyncio
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from generation.engine.errors import BadReply, DialogError, FatalError, TransientError
from generation.engine.providers import ClientPool, Dialect, OpenAIChat, Overloaded, Server
from generation.engine.providers.presets import PRESETS
from generation.engine.providers.reply import MOST_TOKENS, completion
from tests.engine.provider_parts import SCHEMA, chat, request
from tests.engine.waiting import until
from tests.fixtures_model_server import RunningModelServer, free_port

KEY = "sk-very-secret-0123456789"


async def test_a_completion_tells_text_tokens_latency_and_model(model_server: RunningModelServer) -> None:
    model_server.control(latency=0.1)
    async with chat(model_server) as model:
        reply = await model.complete(request())
    stats = model_server.stats()
    assert reply.text
    assert (reply.prompt_tokens, reply.completion_tokens) == (stats["prompt_tokens"], stats["completion_tokens"])
    assert 0.1 <= reply.latency < 2
    assert (reply.model, reply.finish_reason, reply.tries) == ("test-model", "stop", 1)


async def test_a_request_says_no_more_than_was_asked(model_server: RunningModelServer) -> None:
    async with chat(model_server) as model:
        await model.complete(request())
        await model.complete(request(temperature=0.3, max_tokens=50, seed=9))
    plain, full = (one["body"] for one in model_server.requests())
    assert set(plain) == {"model", "messages"}
    assert (full["temperature"], full["max_tokens"], full["seed"]) == (0.3, 50, 9)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FatalError),
        (402, FatalError),
        (403, FatalError),
        (404, FatalError),
        (408, TransientError),
        (409, TransientError),
        (422, FatalError),
        (425, TransientError),
        (429, Overloaded),
        (500, Overloaded),
        (503, Overloaded),
        (529, Overloaded),
    ],
)
async def test_a_status_is_the_users_to_fix_or_may_pass(
    model_server: RunningModelServer, status: int, kind: type[Exception]
) -> None:
    model_server.fail("status", status=status, message="Words of the server.")
    async with chat(model_server) as model:
        with pytest.raises(kind, match=r"Words of the server\.") as caught:
            await model.complete(request())
    assert type(caught.value) is kind or issubclass(type(caught.value), kind)
    assert str(status) in str(caught.value)


async def test_a_bad_key_is_fatal_and_is_never_repeated(model_server: RunningModelServer) -> None:
    model_server.control(keys=["another"])
    async with chat(model_server, api_key=KEY) as model:
        with pytest.raises(FatalError, match="does not accept this API key") as caught:
            await model.complete(request())
    assert "Incorrect API key" in str(caught.value)
    assert KEY not in str(caught.value)


async def test_a_server_that_repeats_the_key_does_not_get_it_shown(model_server: RunningModelServer) -> None:
    model_server.fail("status", status=500, message=f"Cannot use {KEY} now. " + "x" * 5000)
    async with chat(model_server, api_key=KEY) as model:
        with pytest.raises(Overloaded) as caught:
            await model.complete(request())
    assert "Cannot use *** now." in str(caught.value)
    assert len(str(caught.value)) < 600
    assert KEY not in repr(Server(model_server.base_url, KEY))


async def test_an_account_without_credit_is_fatal(model_server: RunningModelServer) -> None:
    model_server.fail("status", status=429, code="insufficient_quota", message="You exceeded your current quota.")
    async with chat(model_server) as model:
        with pytest.raises(FatalError, match="no credit left"):
            await model.complete(request())


async def test_an_unknown_model_is_fatal(model_server: RunningModelServer) -> None:
    model_server.control(models=["known"])
    async with chat(model_server, "unknown") as model:
        with pytest.raises(FatalError, match="no model “unknown”"):
            await model.complete(request())


async def test_a_request_that_is_too_long_fails_its_dialog_and_not_the_run(model_server: RunningModelServer) -> None:
    model_server.fail("status", status=400, message="This model's maximum context length is 8192 tokens.")
    async with chat(model_server) as model:
        with pytest.raises(DialogError, match="fewer or shorter passages"):
            await model.complete(request())


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [({"retry_after": 7}, 7.0), ({"retry_after": "2.5"}, 2.5), ({"retry_after_ms": 300}, 0.3), ({}, None)],
)
async def test_the_servers_wish_to_wait_is_read(
    model_server: RunningModelServer, wish: dict[str, object], seconds: float | None
) -> None:
    model_server.fail("status", status=429, **wish)
    async with chat(model_server) as model:
        with pytest.raises(Overloaded) as caught:
            await model.complete(request())
    assert caught.value.retry_after == seconds


async def test_a_wish_given_as_a_date_is_read(model_server: RunningModelServer) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    model_server.fail("status", status=503, retry_after=date)
    async with chat(model_server) as model:
        with pytest.raises(Overloaded) as caught:
            await model.complete(request())
    assert caught.value.retry_after is not None
    assert 25 < caught.value.retry_after <= 30


async def test_a_wish_that_makes_no_sense_is_no_wish(model_server: RunningModelServer) -> None:
    model_server.fail("status", status=503, retry_after="soon")
    async with chat(model_server) as model:
        with pytest.raises(Overloaded) as caught:
            await model.complete(request())
    assert caught.value.retry_after is None


@pytest.mark.parametrize(
    ("kind", "words"),
    [("cut", "cut its reply short"), ("drop", "closed the connection"), ("malformed", "not JSON")],
)
async def test_a_broken_answer_may_pass(model_server: RunningModelServer, kind: str, words: str) -> None:
    model_server.fail(kind)
    async with chat(model_server) as model:
        with pytest.raises(TransientError, match=words) as caught:
            await model.complete(request())
    assert not isinstance(caught.value, Overloaded)


async def test_a_server_that_never_answers_is_left_after_the_timeout(model_server: RunningModelServer) -> None:
    model_server.fail("hang")
    begun = time.monotonic()
    async with chat(model_server, timeout=0.4) as model:
        with pytest.raises(Overloaded, match=r"did not answer within 0\.4 s"):
            await model.complete(request())
    assert time.monotonic() - begun < 2


async def test_where_nothing_listens_the_sentence_asks_whether_the_server_runs() -> None:
    async with chat(f"http://127.0.0.1:{free_port()}/v1") as model:
        with pytest.raises(TransientError, match="Is the server running"):
            await model.complete(request())


async def test_a_host_that_does_not_exist_is_told_like_one_that_is_down() -> None:
    async with chat("http://no-such-host.invalid/v1") as model:
        with pytest.raises(TransientError, match=r"no-such-host\.invalid"):
            await model.complete(request())


@pytest.mark.parametrize("address", ["ftp://example.org/v1", "localhost:11434", "", "http://", "http://[bad/v1"])
async def test_an_address_that_cannot_be_one_is_fatal(address: str) -> None:
    async with chat(address) as model:
        with pytest.raises(FatalError, match="address"):
            await model.complete(request())


@pytest.mark.parametrize("key", ["ключ", "abc\ndef"])
async def test_a_key_that_cannot_be_one_is_fatal(model_server: RunningModelServer, key: str) -> None:
    async with chat(model_server, api_key=key) as model:
        with pytest.raises(FatalError, match="characters that no key has"):
            await model.complete(request())


async def test_a_server_that_does_not_speak_http_may_be_starting() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail ready\r\n\r\n")
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(greet, "127.0.0.1", 0, family=socket.AF_INET)
    async with listener, chat(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1") as model:
        with pytest.raises(TransientError, match="does not speak HTTP"):
            await model.complete(request())


@pytest.mark.parametrize(("kind", "words"), [("empty", "empty"), ("length", "cut at its limit of 40 tokens")])
async def test_a_reply_of_no_use_is_a_bad_reply_that_was_paid_for(
    model_server: RunningModelServer, kind: str, words: str
) -> None:
    model_server.fail(kind)
    async with chat(model_server) as model:
        with pytest.raises(BadReply, match=words) as caught:
            await model.complete(request(max_tokens=40))
    assert caught.value.prompt_tokens > 0
    assert caught.value.finish_reason == {"empty": "stop", "length": "length"}[kind]


@pytest.mark.parametrize("said", [None, 7, ["stop"], {"type": "stop"}, ""])
def test_a_server_that_gives_no_word_for_why_it_ended_is_not_given_one(said: object) -> None:
    assert completion(reply_of(finish=said), request(), "m", 0.1).finish_reason == ""


@pytest.mark.parametrize(
    ("said", "counted"),
    [(-5, 0), (None, 0), ("12", 12), (10**30, MOST_TOKENS), (2.5, 2), (True, 1)],
)
def test_token_counts_are_such_as_the_ledger_can_hold(said: object, counted: int) -> None:
    assert completion(reply_of(tokens=said), request(), "m", 0.1).prompt_tokens == counted


@pytest.mark.parametrize("said", [float("inf"), float("nan"), "many", [3]])
def test_what_is_no_token_count_is_no_chat_completion(said: object) -> None:
    with pytest.raises(TransientError, match="not a chat completion"):
        completion(reply_of(tokens=said), request(), "m", 0.1)


def reply_of(*, finish: object = "stop", tokens: object = 1) -> dict[str, Any]:
    message = {"role": "assistant", "content": "Hold the button."}
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
async def test_reasoning_is_kept_apart_from_the_text(model_server: RunningModelServer, field: str) -> None:
    model_server.control(reasoning=field)
    async with chat(model_server) as model:
        reply = await model.complete(request())
    assert reply.reasoning
    assert reply.reasoning not in reply.text


async def test_content_in_parts_is_put_together(model_server: RunningModelServer) -> None:
    model_server.control(content_parts=True)
    async with chat(model_server) as model:
        reply = await model.complete(request())
    assert reply.text
    assert reply.reasoning
    assert not reply.text.startswith("[")


# -- JSON ---------------------------------------------------------------------------------------------------------------


async def test_a_schema_is_sent_as_a_strict_structured_output(model_server: RunningModelServer) -> None:
    async with chat(model_server) as model:
        await model.complete(request(schema=SCHEMA, schema_name="questions"))
    form = model_server.requests()[-1]["body"]["response_format"]["json_schema"]
    assert form["name"] == "questions"
    assert form["strict"] is True
    assert form["schema"]["additionalProperties"] is False


async def test_json_that_is_cut_is_a_bad_reply(model_server: RunningModelServer) -> None:
    model_server.fail("bad_json")
    async with chat(model_server) as model:
        with pytest.raises(BadReply, match="not JSON"):
            await model.complete(request(schema=SCHEMA))


@pytest.mark.parametrize(
    ("refused", "structured"), [(["json_schema"], "json_object"), (["json_schema", "json_object"], "prompt")]
)
async def test_a_server_that_refuses_a_format_is_asked_in_another_way_and_that_is_remembered(
    model_server: RunningModelServer, refused: list[str], structured: str
) -> None:
    model_server.control(refuses=refused)
    async with ClientPool() as pool:
        server = Server(model_server.base_url)
        model = OpenAIChat(pool, server, "plain")
        first = await model.complete(request(schema=SCHEMA))
        asked = model_server.stats()["total"]
        await model.complete(request("Something else?", schema=SCHEMA))
        assert pool.dialect(server, "plain").structured == structured
        assert pool.dialect(server, "another").structured == "json_schema"
    assert '"instructions"' in first.text
    assert asked == len(refused) + 1
    assert model_server.stats()["total"] == asked + 1


async def test_many_requests_at_once_learn_of_one_refusal_together(model_server: RunningModelServer) -> None:
    model_server.control(refuses=["json_schema"], latency=0.05)
    async with ClientPool() as pool:
        model = OpenAIChat(pool, Server(model_server.base_url), "plain")
        await asyncio.gather(*(model.complete(request(f"Number {n}?", schema=SCHEMA)) for n in range(8)))
    assert model_server.stats()["total"] == 16


async def test_a_server_that_ignores_the_format_is_told_in_words_the_next_time(
    model_server: RunningModelServer,
) -> None:
    model_server.control(ignores_format=True)
    async with chat(model_server) as model:
        with pytest.raises(BadReply, match="not the JSON"):
            await model.complete(request(schema=SCHEMA))
        reply = await model.complete(request(schema=SCHEMA))
    assert '"instructions"' in reply.text
    assert "response_format" not in model_server.requests()[-1]["body"]


@pytest.mark.parametrize("parameter", ["temperature", "seed"])
async def test_a_parameter_that_the_model_does_not_take_is_left_out(
    model_server: RunningModelServer, parameter: str
) -> None:
    model_server.control(refuses=[parameter])
    async with chat(model_server) as model:
        await model.complete(request(temperature=0.2, seed=1))
        await model.complete(request(temperature=0.2, seed=2))
    assert model_server.stats()["total"] == 3
    assert parameter not in model_server.requests()[-1]["body"]


async def test_the_limit_on_length_goes_by_the_name_that_the_server_knows(model_server: RunningModelServer) -> None:
    model_server.control(refuses=["max_tokens"])
    async with chat(model_server) as model:
        await model.complete(request(max_tokens=100))
    assert model_server.requests()[-1]["body"]["max_completion_tokens"] == 100
    model_server.control(refuses=["max_completion_tokens"])
    async with chat(model_server, dialect=PRESETS["openai"].dialect) as model:
        await model.complete(request(max_tokens=100))
    assert model_server.requests()[-1]["body"]["max_tokens"] == 100


async def test_a_value_that_is_refused_is_the_users_to_fix(model_server: RunningModelServer) -> None:
    model_server.fail("status", status=400, message="max_tokens is too large: 200000.")
    async with chat(model_server) as model:
        with pytest.raises(FatalError, match="too large"):
            await model.complete(request(max_tokens=200_000))
    assert model_server.stats()["total"] == 1


# -- clients ------------------------------------------------------------------------------------------------------------


async def test_one_client_serves_an_address_and_key_until_the_pool_closes(model_server: RunningModelServer) -> None:
    async with ClientPool() as pool:
        one = pool.client(Server(model_server.base_url, "a"))
        assert one is pool.client(Server(model_server.base_url, "a", timeout=5, dialect=Dialect("prompt")))
        assert one is not pool.client(Server(model_server.base_url, "b"))
    assert one.is_closed()


async def test_this_machines_environment_does_not_reach_the_server(
    monkeypatch: pytest.MonkeyPatch, model_server: RunningModelServer
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-mine")
    monkeypatch.setenv("OPENAI_API_KEY", "mine")
    model_server.control(keys=["not-needed"])
    async with chat(model_server) as model:
        assert (await model.complete(request())).text


async def test_cancelling_hangs_up(model_server: RunningModelServer) -> None:
    model_server.fail("hang")
    async with chat(model_server) as model:
        task = asyncio.create_task(model.complete(request()))
        await until(lambda: model_server.stats()["in_flight"] == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: model_server.stats()["in_flight"] == 0)


def test_every_preset_but_those_without_an_address_has_a_usable_one() -> None:
    assert {name for name, preset in PRESETS.items() if not preset.base_url} == {"custom", "offline"}
    for preset in PRESETS.values():
        assert preset.label
        assert preset.help.endswith(".")
        assert not preset.base_url or preset.base_url.startswith(("https://", "http://localhost"))
