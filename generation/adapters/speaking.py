"""Endpoints as the engine's models: one pool of clients and one limiter a server, for as long as a worker is at work."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace

from django.conf import settings

from generation import extensions
from generation.engine.errors import FatalError, TransientError
from generation.engine.protocols import ChatModel, ChatRequest, Completion, Embedder, Speaker
from generation.engine.providers import AdaptiveLimiter, ClientPool, Limited, OpenAIChat, Retrying, RetryPolicy, Server
from generation.engine.providers import embedder as embedder_of
from generation.engine.providers.keys import Hear
from generation.engine.providers.offline import OfflineChat
from generation.engine.providers.retrying import USUAL
from generation.engine.recipe import ModelChoice
from generation.kinds import ADDED, LOCAL
from generation.models import Endpoint

from .keyring import SharedKeys
from .metering import Meter

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Overheard:
    """A model whose passing errors are told to `hear`, before whoever tries again takes them."""

    model: ChatModel
    hear: Hear

    async def complete(self, request: ChatRequest) -> Completion:
        try:
            return await self.model.complete(request)
        except TransientError as error:
            self.hear(str(error))
            raise


class Switchboard:
    """Models by endpoint. Endpoints are read from the database once, before the event loop needs them, with their keys.

    `hear` may be set to be told of errors that are tried again; `meter` is told what is asked of embedding models. Raises
    FatalError for an endpoint that is gone.
    """

    def __init__(
        self, endpoints: Iterable[Endpoint], pool: ClientPool, lines: int = 1, meter: Meter | None = None
    ) -> None:
        self.hear: Hear = lambda trouble: None
        self.meter = meter or Meter()
        self._endpoints: dict[int, Endpoint] = {}
        self._servers: dict[int, Server] = {}
        self._limiters: dict[int, AdaptiveLimiter] = {}
        self._pool = pool
        self._lines = lines
        for endpoint in endpoints:
            self.add(endpoint)

    def add(self, endpoint: Endpoint) -> None:
        """One that was not known beforehand. Raises Undecryptable when a key cannot be read."""
        if endpoint.pk in self._endpoints:
            return
        self._endpoints[endpoint.pk] = endpoint
        if not endpoint.is_offline:
            self._servers[endpoint.pk] = server_of(endpoint, lambda trouble: self.hear(trouble))
            self._limiters[endpoint.pk] = AdaptiveLimiter(self._lines)

    def set_lines(self, lines: int) -> None:
        """How many calls may be in flight to each server."""
        self._lines = max(1, lines)
        for limiter in self._limiters.values():
            limiter.ceiling = self._lines

    def server(self, endpoint: int) -> Server:
        self._row(endpoint)
        return self._servers[endpoint]

    def embedder(self, endpoint: int, model: str, policy: RetryPolicy = USUAL) -> Embedder:
        """Slowed down with whatever else is asked of the endpoint."""
        server, limiter, note = self.server(endpoint), self._limiters[endpoint], self.meter.of(endpoint)
        return embedder_of(
            self._pool, server, model, policy, limiter=limiter, note=note, hear=lambda trouble: self.hear(trouble)
        )

    def model(self, endpoint: int, name: str, policy: RetryPolicy = USUAL) -> ChatModel:
        row = self._row(endpoint)
        if row.is_offline:
            return OfflineChat(latency=OFFLINE_LATENCY)
        if row.preset.startswith(ADDED):
            return self._tried(endpoint, _added(row, name), policy)
        # Nobody waits longer for a key than for an answer.
        server = replace(self._servers[endpoint], patience=policy.patience)
        return self._tried(endpoint, OpenAIChat(self._pool, server, name), policy)

    def _tried(self, endpoint: int, model: ChatModel, policy: RetryPolicy) -> ChatModel:
        """The model, slowed down as its server wishes and asked again after what may pass."""
        limited = Limited(model, self._limiters[endpoint])
        return Retrying(Overheard(limited, lambda trouble: self.hear(trouble)), policy)

    def speaker(self, choice: ModelChoice, policy: RetryPolicy = USUAL, *, name: str = "") -> Speaker:
        """`name` is what its calls are put down to."""
        model = choice.model or self._row(choice.endpoint).chat_model
        return Speaker(self.model(choice.endpoint, model, policy), choice.temperature, choice.max_tokens, name)

    def _row(self, endpoint: int) -> Endpoint:
        if endpoint not in self._endpoints:
            raise FatalError("An endpoint that this speaks through has been deleted: choose another in a new run.")
        return self._endpoints[endpoint]


OFFLINE_LATENCY = 0.05
"""Seconds that the offline model takes for a reply, so that progress can be seen."""


def _added(endpoint: Endpoint, model: str) -> ChatModel:
    """A model of a provider that the installation adds."""
    key = next((key for key in endpoint.keys.all() if key.active), None)  # they were read beforehand
    name = endpoint.preset.removeprefix(ADDED)
    return extensions.build(
        "models", name, base_url=endpoint.base_url, api_key=key.reveal() if key else "", model=model
    )


def server_of(endpoint: Endpoint, hear: Hear = log.info) -> Server:
    """`hear` is told why calls wait for a key. Raises Undecryptable when a key cannot be read."""
    if endpoint.preset == LOCAL:
        return Server(base_url="", local_models=settings.LOCAL_EMBEDDING_MODELS)
    return Server(
        base_url=endpoint.base_url,
        timeout=endpoint.timeout,
        dialect=endpoint.kind.dialect,
        keys=SharedKeys(endpoint, hear),
    )
