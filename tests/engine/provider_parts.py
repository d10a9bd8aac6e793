"""Short ways to make what the providers' tests need."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from generation.engine.protocols import ChatRequest, Turn
from generation.engine.providers import ClientPool, OpenAIChat, Server
from tests.fixtures_model_server import RunningModelServer

SCHEMA = {
    "type": "object",
    "properties": {
        "instructions": {"type": "array", "items": {"type": "string"}},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "required": ["instructions", "score"],
}


def request(text: str = "How long is a reset code valid?", **more: Any) -> ChatRequest:
    return ChatRequest("answer", (Turn("system", "You answer briefly."), Turn("user", text)), **more)


@asynccontextmanager
async def chat(
    server: RunningModelServer | str, model: str = "test-model", **options: Any
) -> AsyncIterator[OpenAIChat]:
    """A chat model on a server or an address; `options` are those of Server."""
    address = server if isinstance(server, str) else server.base_url
    async with ClientPool() as pool:
        yield OpenAIChat(pool, Server(address, **options), model)
