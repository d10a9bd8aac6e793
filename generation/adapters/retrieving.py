"""A corpus as a retriever: searched with words and, where there is an embedder, with a vector; an adopted one in the
collection that it was copied from, by its vectors alone."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import InterfaceError, OperationalError, connections

from datasets.foreign_index import connect_foreign
from datasets.index import Hit, IndexFault, IndexMismatch, IndexMissing, IndexUnavailable, PassageIndex, connect
from datasets.models import AdoptedCollection, Corpus
from datasets.schema import Source
from datasets.services.collecting.adopted_index import check_collection, check_size
from datasets.services.collecting.search import LOST, Index, open_index
from generation.engine.errors import FatalError, OutOfCalls, TransientError
from generation.engine.protocols import Embedder, Retriever
from generation.engine.providers.cached_embedder import CachedEmbedder, VectorCache
from generation.engine.retrievers import Patient
from generation.models import CorpusEmbedding

from .embedding import embedding_of, questioning
from .speaking import Switchboard
from .threads import in_a_thread

PROBE = "How long is the vector of this?"
"""What a model is asked about, to see the size of its vectors."""


@dataclass(frozen=True, slots=True)
class CorpusRetriever:
    index: Index
    depth: int
    embedder: Embedder | None = None

    async def retrieve(self, query: str) -> tuple[Source, ...]:
        dense = await self._vector(query)
        try:
            hits = await self.index.search(query, limit=self.depth, dense=dense)
        except IndexMissing as error:  # as it is for a moment while it is made anew
            raise TransientError(LOST) from error
        except IndexUnavailable as error:
            raise TransientError(str(error)) from error
        except IndexFault as error:
            raise FatalError(str(error)) from error
        except (OperationalError, InterfaceError) as error:
            await sync_to_async(connections.close_all)()
            raise TransientError("The database does not answer.") from error
        return tuple(source_of(hit) for hit in hits)

    async def _vector(self, query: str) -> list[float] | None:
        if self.embedder is None:
            return None
        return (await _asked(self.embedder, query))[0]


async def _asked(embedder: Embedder, text: str) -> list[list[float]]:
    try:
        return await embedder.embed([text])
    except OutOfCalls:  # it passes, whosever model it is
        raise
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
        metadata=dict(hit.metadata),
    )


async def retriever_for(corpus_id: int, *, depth: int, switchboard: Switchboard, stack: AsyncExitStack) -> Retriever:
    """The best `depth` passages of a corpus of our own, or points of an adopted one, for as long as `stack` lasts.

    Raises Undecryptable when a key cannot be read.
    """
    corpus, embedding = await in_a_thread(_searched, corpus_id)
    index = await stack.enter_async_context(open_index(corpus))
    return Patient(CorpusRetriever(index, depth, _cached(switchboard, embedding) if embedding else None))


def _cached(switchboard: Switchboard, embedding: CorpusEmbedding) -> Embedder:
    """A question that comes again, as when a conversation is made anew, is not embedded again."""
    return CachedEmbedder(questioning(switchboard, embedding), embedding.model, VectorCache())


async def check_retrieval(corpus_id: int, switchboard: Switchboard) -> None:
    """Whether questions can be searched with, before a run begins: asks the corpus's embedding model for one vector and
    the index or collection what size it has.

    Raises FatalError with one sentence that says what does not fit (for sizes, with both of them), TransientError when a
    server does not answer, and Undecryptable.
    """
    corpus, embedding = await in_a_thread(_searched, corpus_id)
    try:
        if corpus.adopted:
            await _check_adopted(corpus.adopted, embedding, switchboard)
        elif embedding:
            await _check_own(corpus, embedding, switchboard)
    except IndexUnavailable as error:
        raise TransientError(str(error)) from error
    except IndexFault as error:
        raise FatalError(str(error)) from error


async def check_model(adopted: AdoptedCollection, embedder: Embedder, model: str) -> None:
    """Whether that model makes vectors of the size that the collection's have. Raises FatalError if not, TransientError."""
    size = len((await _asked(embedder, PROBE))[0])
    try:
        check_size(adopted, size, f"“{model}”")
    except IndexMismatch as error:
        raise FatalError(str(error)) from error


def _searched(corpus_id: int) -> tuple[Corpus, CorpusEmbedding | None]:
    return Corpus.objects.select_related("adopted").get(pk=corpus_id), embedding_of(corpus_id)


async def _check_adopted(
    adopted: AdoptedCollection, embedding: CorpusEmbedding | None, switchboard: Switchboard
) -> None:
    if embedding is None:
        check_size(adopted, None, "")
    else:
        await check_model(adopted, questioning(switchboard, embedding), embedding.model)
    async with connect_foreign(adopted.url, adopted.reveal()) as client:
        await check_collection(client, adopted)


async def _check_own(corpus: Corpus, embedding: CorpusEmbedding, switchboard: Switchboard) -> None:
    async with connect(settings.QDRANT_URL, settings.QDRANT_API_KEY) as client:
        try:
            indexed = await PassageIndex(client, corpus.collection).dense_size()
        except IndexMissing:  # nothing has been read yet
            return
    size = len((await _asked(questioning(switchboard, embedding), PROBE))[0])
    if indexed != size:
        raise FatalError(
            f"“{corpus.name}” is indexed with vectors of {indexed or 'no'} dimensions, and those of "
            f"“{embedding.model}” have {size}: have its files read again."
        )
