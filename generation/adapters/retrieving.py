"""The corpus as a retriever: the passage index, asked with words and, where there is an embedder, with a vector."""

from __future__ import annotations

from dataclasses import dataclass

from datasets.index import Hit, IndexUnavailable, PassageIndex
from datasets.schema import Source
from generation.engine.errors import FatalError, TransientError
from generation.engine.protocols import Embedder


@dataclass(frozen=True, slots=True)
class CorpusRetriever:
    index: PassageIndex
    depth: int
    embedder: Embedder | None = None

    async def retrieve(self, query: str) -> tuple[Source, ...]:
        dense = await self._vector(query)
        try:
            hits = await self.index.search(query, limit=self.depth, dense=dense)
        except IndexUnavailable as error:
            raise TransientError(str(error)) from error
        return tuple(source_of(hit) for hit in hits)

    async def _vector(self, query: str) -> list[float] | None:
        if self.embedder is None:
            return None
        try:
            return (await self.embedder.embed([query]))[0]
        except FatalError as error:
            raise FatalError(f"The corpus's embedding model cannot be asked. {error}") from error


def source_of(hit: Hit) -> Source:
    passage = hit.passage
    return Source(
        passage=passage.id,
        document=passage.document,
        title=passage.title,
        text=passage.text,
        start=passage.start,
        end=passage.end,
        page=passage.page,
        heading=passage.heading,
        score=round(hit.score, 4),
    )
