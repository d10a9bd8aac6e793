"""A retriever that asks again when its index is away for a moment, so that paid calls are not thrown away."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from datasets.schema import Source
from generation.engine.errors import TransientError
from generation.engine.protocols import Retriever


@dataclass(frozen=True, slots=True)
class Patient:
    retriever: Retriever
    pauses: tuple[float, ...] = (0.2, 1.0, 3.0)
    """Seconds to wait before each further try."""

    async def retrieve(self, query: str) -> tuple[Source, ...]:
        for pause in self.pauses:
            try:
                return await self.retriever.retrieve(query)
            except TransientError:
                await asyncio.sleep(pause)
        return await self.retriever.retrieve(query)
