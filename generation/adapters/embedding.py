"""How the archive turns passages into dense vectors: the embedder of a corpus, if it has one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asgiref.sync import sync_to_async
from django.db import connections

from generation.engine.protocols import Embedder
from generation.engine.providers import ClientPool, Server
from generation.engine.providers import embedder as embedder_of
from generation.models import CorpusEmbedding

from .speaking import server_of


def embedding_of(corpus_id: int | None) -> tuple[Server, str] | None:
    row = CorpusEmbedding.objects.select_related("endpoint").filter(corpus=corpus_id).first()
    return (server_of(row.endpoint), row.model) if row else None


def _looked_up(corpus_id: int) -> tuple[Server, str] | None:
    """In a thread whose connection nobody else keeps alive, or mends after the database was away."""
    try:
        return embedding_of(corpus_id)
    finally:
        connections.close_all()


@asynccontextmanager
async def embedder_for(corpus_id: int) -> AsyncIterator[Embedder | None]:
    """The embedder of a corpus for as long as the block lasts; None where the corpus is searched by words alone."""
    found = await sync_to_async(_looked_up)(corpus_id)
    if found is None:
        yield None
        return
    async with ClientPool() as pool:
        yield embedder_of(pool, *found)
