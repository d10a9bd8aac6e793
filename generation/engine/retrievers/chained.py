"""Retrievers asked one after the other, until what they found together is enough."""

from __future__ import annotations

from dataclasses import dataclass

from datasets.schema import Source
from generation.engine.protocols import Retriever

from .found import ask, without_repeats


@dataclass(frozen=True, slots=True)
class Chained:
    """A later retriever is asked only while the texts so far have fewer than `enough` characters."""

    retrievers: tuple[Retriever, ...]
    enough: int = 50

    async def retrieve(self, query: str) -> tuple[Source, ...]:
        found: tuple[Source, ...] = ()
        for retriever in self.retrievers:
            found = without_repeats((*found, *await ask(retriever, query)))
            if sum(len(source.text.strip()) for source in found) >= self.enough:
                break
        return found
