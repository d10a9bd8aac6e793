"""Model servers and the kept-alive clients that speak to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2
from openai import AsyncOpenAI, DefaultAioHttpClient, Omit, Timeout

from generation.engine.errors import FatalError

from .dialect import Dialect
from .keys import KeyRing

CONNECT_SECONDS = 10.0
NO_KEY = "not-needed"
"""The client library wants a key even where the server does not."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a model is, and how it is spoken to. `timeout` is for one whole request, in seconds."""

    base_url: str
    api_key: str = field(default="", repr=False)
    timeout: float = 180.0
    dialect: Dialect = field(default_factory=Dialect)
    """What its models understand as far as is known beforehand."""
    keys: KeyRing | None = field(default=None, repr=False)
    """Lends a key for each request, in place of `api_key`."""
    patience: float = 300.0
    """Seconds that a request may wait for a key."""
    local_models: Mapping[str, str] | None = None
    """For this machine itself: the embedding models that it has, by name, each with the folder or the name to load."""


class ClientPool:
    """One kept-alive client per address and key, what was learnt of each model, and the rings that lend keys.

    Owned by whoever runs the event loop, who enters it once: `async with ClientPool() as pool`. Making a client costs
    20 ms of CPU and a TLS context, and a connection costs a round trip or three, so nothing else makes them.
    """

    def __init__(self) -> None:
        self._clients: dict[tuple[str, str], AsyncOpenAI] = {}
        self._dialects: dict[tuple[str, str], Dialect] = {}
        self._rings: set[KeyRing] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        clients = list(self._clients.values())
        self._clients.clear()
        for client in clients:
            await client.close()
        for ring in self._rings:
            await ring.close()

    def client(self, server: Server) -> AsyncOpenAI:
        """The shared client. Raises FatalError when the address or the key cannot be one."""
        key = server.base_url, server.api_key
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = _client(server)
        return client

    def keep(self, ring: KeyRing) -> None:
        """Have the ring closed with the pool."""
        self._rings.add(ring)

    def dialect(self, server: Server, model: str) -> Dialect:
        return self._dialects.get((server.base_url, model), server.dialect)

    def learn(self, server: Server, model: str, dialect: Dialect) -> None:
        """Keep what a refusal taught, for every later request to this model."""
        self._dialects[server.base_url, model] = dialect


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _client(server: Server) -> AsyncOpenAI:
    if not _is_web_address(server.base_url):
        raise FatalError("The endpoint's address must be one of a web server, such as https://api.example.org/v1.")
    if not (server.api_key.isascii() and server.api_key.isprintable()):
        raise FatalError("The API key has characters that no key has. Copy it again.")
    # The key goes to this address only, and nothing of this machine's environment goes with it.
    headers: Any = {"OpenAI-Organization": Omit(), "OpenAI-Project": Omit()}
    try:
        return AsyncOpenAI(
            base_url=server.base_url,
            api_key=server.api_key or NO_KEY,
            max_retries=0,
            # The time of a whole request is limited by who makes it.
            timeout=Timeout(None, connect=CONNECT_SECONDS),
            default_headers=headers,
            http_client=DefaultAioHttpClient(follow_redirects=False),
        )
    except httpx2.InvalidURL as error:
        raise FatalError(f"The endpoint's address is not valid: {error}") from None
