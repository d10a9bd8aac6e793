"""What retrieval returns, for people to look at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from django.conf import settings
from django.db import connections
from django.utils.module_loading import import_string

from datasets.foreign_index import connect_foreign
from datasets.index import Hit, IndexFault, IndexMissing, IndexUnavailable, PassageIndex, connect
from datasets.models import Corpus, User
from datasets.secrets import Undecryptable
from datasets.services.collecting.adopted_index import AdoptedIndex, Copy, LookUp, copies_of
from datasets.services.errors import Refused

PATIENCE = 5.0
"""Seconds that somebody at a page waits for the index."""
MODEL_PATIENCE = 20.0
"""Seconds that a program waits for the question's vector: a model of this machine may be loaded first."""
LOOK_EVERY = 0.1

LOST = "The search index of this corpus is missing: have all its files read again."


class Embedder(Protocol):
    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, in the order of the texts."""
        ...


class Index(Protocol):
    async def search(self, query: str, *, limit: int, dense: Sequence[float] | None = None) -> list[Hit]:
        """The best passages first. `dense` is the query's vector. Raises an IndexFault."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking for the vector of a question. Empty where the corpus is searched by words alone."""

    vector: list[float] | None = None
    waits: int | None = None
    """While a worker is at it: the number to ask again with."""
    fault: str = ""
    """Why there will be none, in a sentence."""


def embedder_of(corpus_id: int) -> AbstractAsyncContextManager[Embedder | None]:
    """The embedder of a corpus's passages, whoever provides it; None where a corpus is searched by words alone."""
    return import_string(settings.EMBEDDER)(corpus_id)


def ask_vector(*, corpus: Corpus, text: str, user: User, number: int | None = None) -> Asked:
    """The vector of a question to the corpus, if it is known; else a worker is asked for it, and nobody waits.

    `number` is that of an earlier answer to the same question: whoever sends it asks no second worker.
    """
    return import_string(settings.QUESTION_EMBEDDER)(corpus=corpus, text=text, user=user, number=number)


def await_vector(*, corpus: Corpus, text: str, user: User) -> list[float] | None:
    """The same for a program, which waits for the worker. Refused when there is no vector in time."""
    ends = time.monotonic() + MODEL_PATIENCE
    asked = ask_vector(corpus=corpus, text=text, user=user)
    while asked.waits:
        if time.monotonic() > ends:
            raise Refused(f"No worker had the question’s vector within {MODEL_PATIENCE:g} s: try again in a minute.")
        time.sleep(LOOK_EVERY)
        asked = ask_vector(corpus=corpus, text=text, user=user, number=asked.waits)
    if asked.fault:
        raise Refused(asked.fault)
    return asked.vector


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


def search_corpus(*, corpus: Corpus, query: str, limit: int, vector: Sequence[float] | None = None) -> list[Hit]:
    """The passages that answer `query` best, best first: by its words, and by its `vector` where it is given.

    Refused when the index does not answer in time, or cannot be searched so.
    """
    where = f"The server at {corpus.adopted.url}" if corpus.adopted else "The search index"
    try:
        return asyncio.run(_search(corpus, query, limit, vector))
    except IndexMissing as error:
        if not corpus.passages.exists():
            return []
        raise Refused(LOST) from error
    except (IndexUnavailable, TimeoutError) as error:
        raise Refused(f"{where} does not answer: try again in a minute.") from error
    except (IndexFault, Undecryptable) as error:
        raise Refused(str(error) if corpus.adopted else f"The search index refused this search: {error}") from error


async def _search(corpus: Corpus, query: str, limit: int, vector: Sequence[float] | None) -> list[Hit]:
    async with asyncio.timeout(PATIENCE), open_index(corpus, _looked_up) as index:
        return await index.search(query, limit=limit, dense=vector)


def _looked_up(corpus_id: int, points: Sequence[str]) -> dict[str, Copy]:
    """In a thread whose connection nobody else keeps alive, or mends after the database was away."""
    try:
        return copies_of(corpus_id, points)
    finally:
        connections.close_all()
