"""A chat model behind any server that speaks the OpenAI API."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import aiohttp
import httpx2
import openai

from generation.engine.errors import Overloaded, RefusedRequest
from generation.engine.protocols import ChatRequest, Completion

from .dialect import Dialect
from .keys import with_a_key
from .reply import ProseInsteadOfJson, completion, read_json
from .servers import ClientPool, Server
from .troubles import address, from_openai, from_transport


class OpenAIChat:
    """One model of one server. Makes one request a call, or a few while it learns what the server understands.

    Raises FatalError, TransientError or BadReply as every ChatModel; and DialogError when the server refuses this
    request for what it contains (too long, or filtered), which trying again cannot mend.
    """

    def __init__(self, pool: ClientPool, server: Server, model: str) -> None:
        self._pool = pool
        self._server = server
        self._model = model

    async def complete(self, request: ChatRequest) -> Completion:
        while True:
            dialect = self._pool.dialect(self._server, self._model)
            body = dialect.body(self._model, request)
            try:
                return await self._attempt(request, body)
            except RefusedRequest as refusal:
                if not self._learns(dialect, dialect.after_refusal(refusal.words, body)):
                    raise
            except ProseInsteadOfJson:
                if "response_format" in body:
                    self._learns(dialect, dialect.after_prose())
                raise

    async def _attempt(self, request: ChatRequest, body: dict[str, Any]) -> Completion:
        begun = time.perf_counter()
        data = await post(self._pool, self._server, "/chat/completions", body)
        return completion(data, request, self._model, time.perf_counter() - begun)

    def _learns(self, used: Dialect, better: Dialect | None) -> bool:
        """Whether there is another way to ask: found by this refusal, or by another request in the meantime."""
        if self._pool.dialect(self._server, self._model) != used:
            return True
        if better is None:
            return False
        self._pool.learn(self._server, self._model, better)
        return True


async def post(pool: ClientPool, server: Server, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST with the server's key, or one that its ring lends; the JSON object that came back."""
    if server.keys is None:
        return await _post(pool, server, path, body)
    pool.keep(server.keys)
    return await with_a_key(
        server.keys,
        server.patience,
        lambda secret: _post(pool, replace(server, api_key=secret, keys=None), path, body),
    )


async def _post(pool: ClientPool, server: Server, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST through the shared client.

    The library's own `chat.completions.create` spends half of its CPU on building models of request and reply; its
    documented way to the bare response does not.
    """
    client = pool.client(server)
    model = str(body["model"])
    try:
        async with asyncio.timeout(server.timeout):
            response = await client.post(path, cast_to=httpx2.Response, body=body)
    except openai.OpenAIError as error:
        raise from_openai(error, server, model) from None
    except aiohttp.ClientError as error:
        raise from_transport(error, server) from None
    except TimeoutError:
        raise Overloaded(f"{address(server.base_url)} did not answer within {server.timeout:g} s.") from None
    return read_json(response.content, server, model)
