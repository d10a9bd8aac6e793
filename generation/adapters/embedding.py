"""How the archive turns passages and questions into dense vectors: the embedder of a corpus, if it has one."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from generation.engine.protocols import Embedder
from generation.engine.providers import ClientPool
from generation.models import CorpusEmbedding

from .metering import write_down
from .speaking import Switchboard
from .threads import in_a_thread
from .vectors import KeptEmbedder, Shelf, Watchful

log = logging.getLogger(__name__)


def embedding_of(corpus_id: int | None) -> CorpusEmbedding | None:
    """With its endpoint and the keys of that."""
    rows = CorpusEmbedding.objects.select_related("endpoint").prefetch_related("endpoint__keys")
    return rows.filter(corpus=corpus_id).first()


def questioning(switchboard: Switchboard, embedding: CorpusEmbedding) -> Embedder:
    """What turns questions to the corpus into vectors. Raises Undecryptable when a key cannot be read."""
    switchboard.add(embedding.endpoint)
    return Watchful(switchboard.embedder(embedding.endpoint_id, embedding.model), _shelf(switchboard, embedding))


def _shelf(switchboard: Switchboard, embedding: CorpusEmbedding) -> Shelf:
    return Shelf.of(embedding.endpoint_id, switchboard.server(embedding.endpoint_id), embedding.model)


@asynccontextmanager
async def embedder_for(corpus_id: int, *, reading: bool) -> AsyncIterator[Embedder | None]:
    """The embedder of a corpus for as long as the block lasts; None where the corpus is searched by words alone.

    While `reading`, vectors are kept for the next time that the same text is read. What is asked stands in the ledger of
    the project.
    """
    embedding = await in_a_thread(embedding_of, corpus_id)
    if embedding is None:
        yield None
        return
    project = embedding.endpoint.project_id
    async with ClientPool() as pool:
        switchboard = Switchboard([embedding.endpoint], pool)
        switchboard.hear = log.info
        try:
            yield _reading(switchboard, embedding) if reading else questioning(switchboard, embedding)
        finally:
            await in_a_thread(write_down, switchboard.meter, project=project)


def _reading(switchboard: Switchboard, embedding: CorpusEmbedding) -> Embedder:
    embedder = switchboard.embedder(embedding.endpoint_id, embedding.model)
    shelf = _shelf(switchboard, embedding)
    return KeptEmbedder(embedder, shelf, switchboard.meter, embedding.endpoint.project_id)
