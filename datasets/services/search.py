"""What retrieval returns, for people to look at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from django.conf import settings
from django.db import connections
from django.utils.module_loading import import_string

from datasets.foreign_index import connect_foreign
from datasets.index import Hit, IndexFault, IndexMissing, IndexUnavailable, PassageIndex, connect
from datasets.models import Corpus
from datasets.secrets import Undecryptable

from .adopted_index import AdoptedIndex, Copy, LookUp, check_size, copies_of
from .errors import Refused

PATIENCE = 5.0
"""Seconds that somebody at a page waits for the index."""
MODEL_PATIENCE = 20.0
"""Seconds that they wait for the question's vector: a model of this machine is loaded first."""

LOST = "The search index of this corpus is missing: have all its files read again."


class Embedder(Protocol):
    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, in the order of the texts."""
        ...


class Index(Protocol):
    async def search(self, query: str, *, limit: int, dense: Sequence[float] | None = None) -> list[Hit]:
        """The best passages first. `dense` is the query's vector. Raises an IndexFault."""
        ...


def embedder_of(corpus_id: int, *, reading: bool) -> AbstractAsyncContextManager[Embedder | None]:
    """The embedder of a corpus, whoever provides it; None where a corpus is searched by words alone.

    `reading`: what is embedded are its passages, and most of them may come again.
    """
    return import_string(settings.EMBEDDER)(corpus_id, reading=reading)


@asynccontextmanager
async def open_index(corpus: Corpus, look_up: LookUp = copies_of) -> AsyncIterator[Index]:
    """Where the corpus is searched, for as long as the block lasts: its own index, or the collection that it was adopted
    from, which has to be loaded with it. Raises Undecryptable when that one's key cannot be read."""
    if adopted := corpus.adopted:
        async with connect_foreign(adopted.url, adopted.reveal()) as client:
            yield AdoptedIndex(client, adopted, corpus.pk, look_up)
        return
    async with connect(settings.QDRANT_URL, settings.QDRANT_API_KEY) as client:
        yield PassageIndex(client, corpus.collection)


def search_corpus(*, corpus: Corpus, query: str, limit: int) -> list[Hit]:
    """The passages that answer `query` best, best first. Refused when the model or the index does not answer in time."""
    where = f"The server at {corpus.adopted.url}" if corpus.adopted else "The search index"
    try:
        return asyncio.run(_search(corpus, query, limit))
    except IndexMissing as error:
        if not corpus.passages.exists():
            return []
        raise Refused(LOST) from error
    except (IndexUnavailable, TimeoutError) as error:
        raise Refused(f"{where} does not answer: try again in a minute.") from error
    except (IndexFault, Undecryptable) as error:
        raise Refused(str(error) if corpus.adopted else f"The search index refused this search: {error}") from error


async def _search(corpus: Corpus, query: str, limit: int) -> list[Hit]:
    dense = await _vector_of(corpus, query)
    async with asyncio.timeout(PATIENCE), open_index(corpus, _looked_up) as index:
        return await index.search(query, limit=limit, dense=dense)


def _looked_up(corpus_id: int, points: Sequence[str]) -> dict[str, Copy]:
    """In a thread whose connection nobody else keeps alive, or mends after the database was away."""
    try:
        return copies_of(corpus_id, points)
    finally:
        connections.close_all()


async def _vector_of(corpus: Corpus, query: str) -> list[float] | None:
    async with embedder_of(corpus.pk, reading=False) as embedder:
        if corpus.adopted and embedder is None:
            check_size(corpus.adopted, None, "")
        try:
            async with asyncio.timeout(MODEL_PATIENCE):
                return (await embedder.embed([query]))[0] if embedder else None
        except TimeoutError as error:
            raise Refused(f"The embedding model did not answer within {MODEL_PATIENCE:g} s: try again.") from error
        except Exception as error:  # whatever a model server may do; the seam names no errors
            raise Refused(f"The embedding model did not answer: {error}") from error
