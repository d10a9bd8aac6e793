"""What was found for a query is kept for a while."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from datasets.schema import Source
from generation.engine.protocols import Retriever

from .found import ask

Found = tuple[Source, ...]


class Cached:
    """Keeps the sources, scores and all, of the last `size` queries for `ttl` seconds. For use in one event loop.

    Those who ask the same at the same time share one request. Errors reach all of them and are not kept.
    """

    def __init__(
        self, retriever: Retriever, size: int = 1000, ttl: float = 3600.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if size < 1 or ttl <= 0:
            raise ValueError("A cache keeps at least one query, for longer than no time.")
        self._retriever, self._size, self._ttl, self._clock = retriever, size, ttl, clock
        self._kept: OrderedDict[str, tuple[float, Found]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Found]] = {}

    async def retrieve(self, query: str) -> tuple[Source, ...]:
        kept = self._kept.get(query)
        if kept is not None and self._clock() < kept[0]:
            self._kept.move_to_end(query)
            return kept[1]
        # A task of its own: whoever asked first may be cancelled while others still wait for the answer.
        if query not in self._asking:
            self._asking[query] = asyncio.create_task(self._ask(query))
        return await asyncio.shield(self._asking[query])

    async def _ask(self, query: str) -> Found:
        try:
            found = await ask(self._retriever, query)
        finally:
            del self._asking[query]
        self._kept[query] = self._clock() + self._ttl, found
        self._kept.move_to_end(query)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return found
