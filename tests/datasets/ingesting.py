"""Parts that the tests of ingesting share."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from django.conf import settings
from django.core.files.base import ContentFile

from datasets.index import Hit, IndexMissing, PassageIndex, connect
from datasets.models import Corpus, Document, Passage, SourceFile
from datasets.services.collecting import corpora
from datasets.services.collecting.ingest import ingest

CAT = "The cat sleeps on the warm windowsill all afternoon.\n\n"
DOG = "The dog waits at the garden gate for the postman.\n\n"


class LetterEmbedder:
    """A stand-in for a model: a direction per text, made from its bytes. It finds identical texts, nothing more."""

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[byte / 255 for byte in hashlib.sha256(text.encode()).digest()[:8]] for text in texts]


@asynccontextmanager
async def letters(corpus_id: int) -> AsyncIterator[LetterEmbedder]:
    yield LetterEmbedder()


@asynccontextmanager
async def words_alone(corpus_id: int) -> AsyncIterator[None]:
    yield None


@asynccontextmanager
async def broken(corpus_id: int) -> AsyncIterator[LetterEmbedder]:
    class Broken(LetterEmbedder):
        async def embed(self, texts: Sequence[str]) -> list[list[float]]:
            raise ConnectionError("connection refused")

    yield Broken()


def add(corpus: Corpus, name: str, content: str | bytes, **options: str) -> SourceFile:
    """Store a file without reading it."""
    raw = content.encode() if isinstance(content, str) else content
    source, _ = corpora.store_file(corpus=corpus, name=name, file=ContentFile(raw), user=None, options=options or None)
    return source


def read(source: SourceFile) -> SourceFile:
    ingest(source.pk)
    return SourceFile.objects.get(pk=source.pk)


def texts(corpus: Corpus) -> list[str]:
    return sorted(Passage.objects.filter(corpus=corpus).values_list("text", flat=True))


def search(corpus: Corpus, query: str, limit: int = 10) -> list[Hit]:
    async def ask() -> list[Hit]:
        async with connect(settings.QDRANT_URL, settings.QDRANT_API_KEY) as client:
            return await PassageIndex(client, corpus.collection).search(query, limit=limit)

    return asyncio.run(ask())


def point_count(corpus: Corpus) -> int:
    """Points in the corpus's collection; -1 if there is none."""

    async def ask() -> int:
        async with connect(settings.QDRANT_URL, settings.QDRANT_API_KEY) as client:
            try:
                return await PassageIndex(client, corpus.collection).count()
            except IndexMissing:
                return -1

    return asyncio.run(ask())


def assert_consistent(source: SourceFile) -> None:
    """The file's numbers are those of its rows, every row was confirmed by the last reading, every passage is a point."""
    documents = list(source.documents.all())
    assert source.state == SourceFile.State.READY, source.error
    assert source.document_count == len(documents)
    assert source.passage_count == Passage.objects.filter(document__source=source).count()
    assert {document.revision for document in documents} == {source.revision}
    for document in documents:
        assert_cut_well(document)
    files = SourceFile.objects.filter(corpus=source.corpus_id)
    assert point_count(source.corpus) == sum(files.values_list("passage_count", flat=True))


def assert_cut_well(document: Document) -> None:
    passages = list(document.passages.order_by("index"))
    assert document.passage_count == len(passages)
    assert document.characters == len(document.text)
    assert [passage.index for passage in passages] == list(range(len(passages)))
    assert all(document.text[passage.start : passage.end] == passage.text for passage in passages)
