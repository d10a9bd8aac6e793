"""A model server for tests and for trying things by hand: the OpenAI API on loopback, with faults on demand.

    python -m tests.model_server --port 9999 --latency 0.2 --key secret

It answers /v1/chat/completions (structured outputs and tool calls too), /v1/embeddings and /v1/models. Replies are made
of the prompt's own words and are the same for the same request. POST /control changes how it behaves (see
tests/model_server_faults.py for the names), GET /control tells what it saw, POST /control/reset starts afresh:

    curl localhost:9999/control -d '{"faults": [{"kind": "status", "status": 429, "count": 20, "retry_after": 2}]}'
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
import zlib
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from tests.model_server_faults import Fault, Settings
from tests.model_server_replies import Composer, described_schema, encoded, prompt_of, vector

JSON = "application/json"
WANTS_JSON = "Reply with one JSON object and nothing else"
"""With which words prompts ask for JSON of no schema."""
KEPT = 200


@dataclass(slots=True)
class Seen:
    """What the server has counted since it began or was reset."""

    requests: Counter[str] = field(default_factory=Counter)
    """By path."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Answered chats by what was asked for: text, json_schema, json_object, tools."""
    keys: Counter[str] = field(default_factory=Counter)
    """By API key."""
    statuses: Counter[int] = field(default_factory=Counter)
    in_flight: int = 0
    peak_in_flight: int = 0
    last_request: float = 0.0
    """Seconds since the epoch, as time.time() tells them."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    last: deque[tuple[float, bytes]] = field(default_factory=lambda: deque(maxlen=KEPT))

    def begin(self, what: str, key: str) -> None:
        self.requests[what] += 1
        self.keys[key] += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        self.last_request = time.time()

    def report(self) -> dict[str, Any]:
        return {
            "requests": dict(self.requests),
            "kinds": dict(self.kinds),
            "keys": dict(self.keys),
            "total": sum(self.requests.values()),
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "last_request": self.last_request,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }


class ModelServer:
    """The handlers, with their settings and counts."""

    def __init__(self, settings: Settings) -> None:
        self.first = replace(settings)
        self.settings = settings
        self.seen = Seen()

    def application(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_post("/v1/embeddings", self.embeddings)
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/control", self.report)
        app.router.add_post("/control", self.control)
        app.router.add_post("/control/reset", self.reset)
        app.router.add_get("/control/requests", self.requests)
        return app

    # -- what a model server answers --------------------------------------------------------------------------------

    async def chat(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, self._chat_body)

    async def embeddings(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, self._embeddings_body)

    async def models(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, self._models_body)

    async def _answer(self, request: web.Request, body: Any) -> web.StreamResponse:
        raw = await request.read()
        self.seen.begin(request.path, _bearer(request))
        self.seen.last.append((time.time(), raw))
        try:
            response = await self._reply(request, raw, body)
            self.seen.statuses[response.status] += 1
            return response
        finally:
            self.seen.in_flight -= 1

    async def _reply(self, request: web.Request, raw: bytes, body: Any) -> web.StreamResponse:
        if self.settings.latency:
            await asyncio.sleep(self.settings.latency)
        if not self._admits(request):
            return _error(401, f"Incorrect API key provided: {_bearer(request)[:3]}***.", "invalid_api_key")
        fault = self.settings.fault(request.path, _bearer(request))
        if fault is not None and fault.kind == "status":
            return _error(fault.status, fault.message or "Told to fail.", fault.code, fault.headers())
        if fault is not None and fault.kind in ("hang", "slow"):
            await asyncio.sleep(fault.delay if fault.kind == "slow" else 3600)
        asked = json.loads(raw) if raw else {}
        if refusal := self._refusal(asked):
            return refusal
        answer = body(asked, raw, fault)
        return await _spoilt(request, answer, fault) or web.Response(body=answer, content_type=JSON)

    def _admits(self, request: web.Request) -> bool:
        return self.settings.keys is None or _bearer(request) in self.settings.keys

    def _refusal(self, asked: dict[str, Any]) -> web.Response | None:
        model = asked.get("model")
        if self.settings.models is not None and model is not None and model not in self.settings.models:
            return _error(404, f"The model `{model}` does not exist.", "model_not_found")
        form = _format_of(asked)
        if form in self.settings.refuses:
            return _error(400, f"'response_format' of type '{form}' is not supported with this model.")
        for name in self.settings.refuses:
            if name in asked:
                return _error(400, f"Unsupported parameter: '{name}' is not supported with this model.")
        if asked.get("stream"):
            return _error(400, "This server does not stream: leave 'stream' out.")
        return None

    def _chat_body(self, asked: dict[str, Any], raw: bytes, fault: Fault | None) -> bytes:
        self.seen.kinds["tools" if "tools" in asked else _format_of(asked)] += 1
        prompt = prompt_of(asked["messages"])
        composer = Composer(prompt, zlib.crc32(raw), self.settings.words)
        message, finish = self._message(asked, prompt, composer)
        if fault is not None:
            message, finish = _worsened(message, finish, fault)
        usage = self._usage(len(prompt) // 4, len(json.dumps(message)) // 4)
        return (
            b'{"id":"chatcmpl-%08x","object":"chat.completion","created":%d,"model":%b,"choices":[{"index":0,'
            b'"message":%b,"logprobs":null,"finish_reason":"%b"}],"usage":%b}'
        ) % (
            zlib.crc32(raw),
            time.time(),
            json.dumps(asked.get("model", "")).encode(),
            json.dumps(message).encode(),
            finish.encode(),
            usage,
        )

    def _message(self, asked: dict[str, Any], prompt: str, composer: Composer) -> tuple[dict[str, Any], str]:
        if tool := _wanted_tool(asked, prompt):
            return _tool_message(tool, composer), "tool_calls"
        message: dict[str, Any] = {"role": "assistant", "content": self._text(asked, prompt, composer)}
        if self.settings.content_parts:
            thought = {"type": "thinking", "thinking": [{"type": "text", "text": composer.prose()}]}
            message["content"] = [thought, {"type": "text", "text": message["content"]}]
        elif self.settings.reasoning:
            message[self.settings.reasoning] = composer.prose()
        return message, "stop"

    def _text(self, asked: dict[str, Any], prompt: str, composer: Composer) -> str:
        form = asked.get("response_format") or {"type": "text"}
        if self.settings.ignores_format:
            form = {"type": "text"}
        if form["type"] == "json_schema":
            return json.dumps(composer.value(form["json_schema"]["schema"]))
        if schema := described_schema(prompt):
            value = json.dumps(composer.value(schema))
            return value if form["type"] == "json_object" else f"Here it is:\n```json\n{value}\n```"
        wants_json = form["type"] == "json_object" or WANTS_JSON in prompt
        return json.dumps({"reply": composer.prose()}) if wants_json else composer.prose()

    def _embeddings_body(self, asked: dict[str, Any], raw: bytes, fault: Fault | None) -> bytes:
        texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
        encoding = asked.get("encoding_format", "float")
        dimension = asked.get("dimensions", self.settings.dimension)
        data = [
            {"object": "embedding", "index": index, "embedding": encoded(vector(text, dimension), encoding)}
            for index, text in enumerate(texts)
        ]
        tokens = sum(map(len, texts)) // 4
        self._usage(tokens, 0)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return json.dumps({"object": "list", "data": data, "model": asked.get("model"), "usage": usage}).encode()

    def _models_body(self, asked: dict[str, Any], raw: bytes, fault: Fault | None) -> bytes:
        names = self.settings.models or ("test-model", "test-model-large", "test-embedding")
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in names]
        return json.dumps({"object": "list", "data": data}).encode()

    def _usage(self, prompt: int, completion: int) -> bytes:
        self.seen.prompt_tokens += prompt
        self.seen.completion_tokens += completion
        total = prompt + completion
        return b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}' % (prompt, completion, total)

    # -- how it is told what to do ----------------------------------------------------------------------------------

    async def report(self, request: web.Request) -> web.Response:
        return web.json_response(self.seen.report())

    async def control(self, request: web.Request) -> web.Response:
        try:
            self.settings.change(await request.json())
        except (ValueError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({})

    async def reset(self, request: web.Request) -> web.Response:
        """Back to the settings of the start, with nothing counted. Requests in flight still end."""
        in_flight = self.seen.in_flight
        self.settings, self.seen = replace(self.first, faults=()), Seen()
        self.seen.in_flight = in_flight
        return web.json_response({})

    async def requests(self, request: web.Request) -> web.Response:
        """The last requests, oldest first, each with its time: [{"at": …, "body": {…}}]."""
        return web.json_response([{"at": at, "body": json.loads(raw or b"null")} for at, raw in self.seen.last])


def _format_of(asked: dict[str, Any]) -> str:
    return (asked.get("response_format") or {}).get("type", "text")


def _bearer(request: web.Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


def _error(status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None) -> web.Response:
    kind = "invalid_request_error" if status < 429 else "server_error"
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return web.json_response(body, status=status, headers=headers)


async def _spoilt(request: web.Request, answer: bytes, fault: Fault | None) -> web.StreamResponse | None:
    """The answer with the fault that its bytes suffer, or None when they stay as they are."""
    if fault is None or fault.kind not in ("cut", "drop", "malformed"):
        return None
    if fault.kind == "malformed":
        return web.Response(body=answer[: len(answer) // 2], content_type=JSON)
    response = web.StreamResponse(headers={"Content-Type": JSON, "Content-Length": str(len(answer))})
    if fault.kind == "cut":
        await response.prepare(request)
        await response.write(answer[: len(answer) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def _worsened(message: dict[str, Any], finish: str, fault: Fault) -> tuple[dict[str, Any], str]:
    match fault.kind:
        case "empty":
            return message | {"content": ""}, finish
        case "length":
            return message | {"content": message["content"][: len(message["content"]) // 2]}, "length"
        case "bad_json":
            return message | {"content": message["content"][: len(message["content"]) // 2]}, finish
    return message, finish


def _wanted_tool(asked: dict[str, Any], prompt: str) -> dict[str, Any] | None:
    """The function to call: the one that is required or named, or that the prompt names."""
    functions = [tool["function"] for tool in asked.get("tools", ())]
    choice = asked.get("tool_choice", "auto")
    if not functions or choice == "none":
        return None
    if choice == "required":
        return functions[zlib.crc32(prompt.encode()) % len(functions)]
    named = choice["function"]["name"] if isinstance(choice, dict) else None
    return next((one for one in functions if one["name"] == named or (not named and one["name"] in prompt)), None)


def _tool_message(function: dict[str, Any], composer: Composer) -> dict[str, Any]:
    arguments = json.dumps(composer.value(function.get("parameters", {"type": "object"})))
    call = {"name": function["name"], "arguments": arguments}
    identity = f"call_{zlib.crc32(arguments.encode()):08x}"
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": identity, "type": "function", "function": call}],
    }


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="python -m tests.model_server", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=9999)
    options.add_argument("--latency", type=float, default=0.0, help="seconds before every reply")
    options.add_argument("--key", action="append", help="an API key that passes (repeatable); none lets all in")
    options.add_argument("--words", type=int, default=60, help="about how many words a reply has")
    options.add_argument("--dimension", type=int, default=64, help="length of embedding vectors")
    options.add_argument(
        "--fault", action="append", default=[], help='JSON, e.g. {"kind": "status", "status": 429, "fraction": 0.2}'
    )
    return options


def main(arguments: list[str] | None = None) -> None:
    given = parser().parse_args(arguments)
    settings = Settings(
        latency=given.latency,
        keys=tuple(given.key) if given.key else None,
        words=given.words,
        dimension=given.dimension,
    )
    settings.change({"faults": [json.loads(one) for one in given.fault]})
    server = ModelServer(settings)
    web.run_app(
        server.application(),
        host=given.host,
        port=given.port,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=0.1,
        backlog=1024,
        print=lambda *_: print(f"Model server on http://{given.host}:{given.port}/v1", flush=True),
    )


if __name__ == "__main__":
    main()
