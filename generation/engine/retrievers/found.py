"""What counts as found: the same for every retriever, our own or somebody else's."""

from __future__ import annotations

from collections.abc import Iterable

from datasets.schema import Source
from generation.engine.protocols import Retriever

NOTHING = "no relevant context found."
"""Some retrievers say so in a text instead of returning none. That is a miss: it must never stand before a model."""


async def ask(retriever: Retriever, query: str) -> tuple[Source, ...]:
    """The passages that it found, best first; texts that are blank or only say that there is none are left out.

    Raises TypeError when it returns anything else than sources, and whatever the retriever raises.
    """
    found = await retriever.retrieve(query)
    if not isinstance(found, tuple | list) or not all(isinstance(source, Source) for source in found):
        raise TypeError(f"{type(retriever).__name__} returned {type(found).__name__} where sources were expected.")
    return tuple(source for source in found if is_found(source))


def is_found(source: Source) -> bool:
    text = source.text.strip()
    return bool(text) and text.casefold() != NOTHING


def identity(source: Source) -> int | str:
    """What tells sources apart: the passage, or for a text that is not in the archive the text itself."""
    return source.passage or source.text


def without_repeats(sources: Iterable[Source]) -> tuple[Source, ...]:
    """Every source once, where it first stood."""
    first: dict[int | str, Source] = {}
    for source in sources:
        first.setdefault(identity(source), source)
    return tuple(first.values())
