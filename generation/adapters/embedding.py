"""How passages of the archive and questions to it become dense vectors: the embedder of a corpus, if it has one."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from generation.engine.protocols import Embedder
from generation.engine.providers import ClientPool, RetryPolicy
from generation.engine.providers.retrying import USUAL
from generation.models import CorpusEmbedding

from .metering import write_down
from .speaking import Switchboard
from .threads import in_a_thread
from .vectors import KeptEmbedder, Shelf, Vector, Watchful

log = logging.getLogger(__name__)


def embedding_of(corpus_id: int | None) -> CorpusEmbedding | None:
    """With its endpoint and the keys of that."""
    rows = CorpusEmbedding.objects.select_related("endpoint").prefetch_related("endpoint__keys")
    return rows.filter(corpus=corpus_id).first()


def questioning(switchboard: Switchboard, embedding: CorpusEmbedding) -> Embedder:
    """What turns a run's questions to the corpus into vectors. Raises Undecryptable when a key cannot be read."""
    switchboard.add(embedding.endpoint)
    return Watchful(switchboard.embedder(embedding.endpoint_id, embedding.model), Shelf.of(embedding))


def known_vector(embedding: CorpusEmbedding, text: str) -> Vector | None:
    """That of a text which was embedded before. Nothing is asked of any server."""
    shelf = Shelf.of(embedding)
    return next(iter(shelf.find([shelf.digest(text)]).values()), None)


@asynccontextmanager
async def embedder_for(corpus_id: int, policy: RetryPolicy = USUAL) -> AsyncIterator[Embedder | None]:
    """The embedder of a corpus for as long as the block lasts; None where the corpus is searched by words alone.

    Vectors are kept for the next time that the same text comes. What is asked stands in the ledger of the project.
    """
    embedding = await in_a_thread(embedding_of, corpus_id)
    if embedding is None:
        yield None
        return
    project = embedding.endpoint.project_id
    async with ClientPool() as pool:
        switchboard = Switchboard([embedding.endpoint], pool)
        switchboard.hear = log.info
        embedder = switchboard.embedder(embedding.endpoint_id, embedding.model, policy)
        try:
            yield KeptEmbedder(embedder, Shelf.of(embedding), switchboard.meter, project)
        finally:
            await in_a_thread(write_down, switchboard.meter, project=project)
