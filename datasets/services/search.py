"""What retrieval returns, for people to look at."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from datasets.index import Hit, IndexFault, IndexMissing, IndexUnavailable, PassageIndex, connect
from datasets.models import Corpus

from .errors import Refused

PATIENCE = 5.0
"""Seconds that somebody at a page waits for a search."""


class Embedder(Protocol):
    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, in the order of the texts."""
        ...


def embedder_of(corpus_id: int) -> AbstractAsyncContextManager[Embedder | None]:
    """The embedder of a corpus, whoever provides it; None where a corpus is searched by words alone."""
    return import_string(settings.EMBEDDER)(corpus_id)


def search_corpus(*, corpus: Corpus, query: str, limit: int) -> list[Hit]:
    """The passages that answer `query` best, best first. Refused when there is no answer within `PATIENCE`."""
    try:
        return asyncio.run(asyncio.wait_for(_search(corpus, query, limit), PATIENCE))
    except IndexMissing:
        return []
    except (IndexUnavailable, TimeoutError) as error:
        raise Refused("The search index does not answer: try again in a minute.") from error
    except IndexFault as error:
        raise Refused(f"The search index refused this search: {error}") from error


async def _search(corpus: Corpus, query: str, limit: int) -> list[Hit]:
    dense = await _vector_of(corpus, query)
    async with connect(settings.QDRANT_URL, settings.QDRANT_API_KEY) as client:
        return await PassageIndex(client, corpus.collection).search(query, limit=limit, dense=dense)


async def _vector_of(corpus: Corpus, query: str) -> list[float] | None:
    async with embedder_of(corpus.pk) as embedder:
        try:
            return (await embedder.embed([query]))[0] if embedder else None
        except Exception as error:  # whatever a model server may do; the seam names no errors
            raise Refused(f"The embedding model did not answer: {error}") from error
