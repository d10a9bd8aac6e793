"""What is read from a file on its way into the database and the index."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Self

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest
from django.utils import timezone

from datasets.index import IndexedPassage, IndexMismatch, IndexMissing, PassageIndex, connect
from datasets.models import Corpus, Document, Passage, SourceFile
from datasets.reading import Problem, Span, Text, chunk
from datasets.services.collecting.claims import LEASE, Overtaken, State, end, holding, mine
from datasets.services.collecting.clearing import delete_some
from datasets.services.collecting.search import embedder_of

SLICE = 200
"""Passages that are embedded, written and indexed together."""
BUFFER = 2_000_000
"""Characters of text that are collected before they are written, unless one document is longer."""
LONGEST_PASSAGE = 20_000
"""Characters of a passage where the corpus does not say."""
PROBLEMS_SHOWN = 50
PROGRESS_EVERY = 0.5
"""Seconds between two writes of how far reading has come, at the least."""

DOCUMENT_FIELDS = [
    "corpus", "external_id", "title", "text", "pages", "metadata", "characters", "passage_count", "revision",
]  # fmt: skip
PASSAGE_FIELDS = ["corpus", "text", "start", "end", "page", "heading"]


class EmbeddingFault(Exception):
    """The embedding model failed; the message is one sentence."""


class Intake:
    """One attempt at a file or collection: collects what is read, and writes its rows a buffer at a time.

    A document becomes one passage, unless it is too long for one.
    """

    def __init__(self, source: SourceFile) -> None:
        self.source, self.corpus = source, source.corpus
        self.buffer: dict[str, tuple[Text, list[Span]]] = {}
        self.buffered = 0
        self.share = self.shown_share = self.shown_at = 0.0
        self.documents = self.passages = 0
        """How many have been written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def cut(self, text: Text) -> list[Span]:
        if len(text.text) <= LONGEST_PASSAGE:
            return [Span(0, len(text.text), None, "")]
        return chunk(text, size=LONGEST_PASSAGE, overlap=0)

    def note(self, problem: Problem) -> None:
        self.source.problem_count += 1
        if len(self.source.problems) < PROBLEMS_SHOWN:
            self.source.problems.append([problem.where, problem.sentence])

    def take(self, text: Text) -> None:
        if text.key in self.buffer:
            self.flush()
        self.buffer[text.key] = text, self.cut(text)
        self.buffered += len(text.text)
        self.share = text.share
        if self.buffered >= BUFFER or len(self.buffer) >= SLICE:
            self.flush()

    def flush(self) -> None:
        """Write what has been collected: its documents first, then their passages, each slice with its points."""
        documents = self._write_documents()
        passages = [
            passage
            for document, (text, spans) in zip(documents, self.buffer.values(), strict=True)
            for passage in _passages(document, text, spans)
        ]
        for start in range(0, len(passages), SLICE):
            self._write_passages(passages[start : start + SLICE], so_far=start / len(passages))
        self.shown_share = self.share
        self.buffer.clear()
        self.buffered = 0

    def _write_documents(self) -> list[Document]:
        rows = [_document(self.source, text, len(spans)) for text, spans in self.buffer.values()]
        with holding(self.source):
            rows = Document.objects.bulk_create(
                rows, update_conflicts=True, unique_fields=["source", "key"], update_fields=DOCUMENT_FIELDS
            )
            surplus = Passage.objects.filter(document__in=rows, index__gte=F("document__passage_count"))
            surplus.delete()
        self.documents += len(rows)
        return rows

    def _write_passages(self, rows: list[Passage], *, so_far: float) -> None:
        """Rows keep their ids when a document is read again, so that what points to a passage goes on pointing to it."""
        with holding(self.source):
            self._keep(rows)
            self._show_progress(self.shown_share + so_far * (self.share - self.shown_share))

    def _keep(self, rows: list[Passage]) -> list[Passage]:
        self.passages += len(rows)
        return Passage.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["document", "index"], update_fields=PASSAGE_FIELDS
        )

    def _show_progress(self, share: float) -> None:
        now = time.monotonic()
        if now - self.shown_at < PROGRESS_EVERY:
            return
        self.shown_at = now
        mine(self.source).update(
            progress=share,
            lease_until=timezone.now() + LEASE,
            document_count=Greatest("document_count", self.documents),
            passage_count=Greatest("passage_count", self.passages),
        )

    def finish(self) -> None:
        """Delete what this reading has not confirmed, and declare the file ready."""
        self.flush()
        while delete_some(self.source, self.source.documents.filter(revision__lt=self.source.revision)):
            pass
        with holding(self.source):
            self._drop_stale()
            end(self.source, State.READY, progress=1, error="")

    def _drop_stale(self) -> None:
        """What is not in the database of what this reading has not confirmed."""


class IndexedIntake(Intake):
    """Documents are cut as the corpus says, and their passages become points of its index, with vectors if it has any."""

    def __init__(self, source: SourceFile) -> None:
        super().__init__(source)
        self.index_ready = False
        self.dense_size: int | None = None

    def __enter__(self) -> Self:
        self._runner, self._stack = asyncio.Runner(), AsyncExitStack()
        client = connect(settings.QDRANT_URL, settings.QDRANT_API_KEY)
        self.index = PassageIndex(client, self.corpus.collection)
        self._runner.run(self._stack.enter_async_context(client))
        self.embedder = self._runner.run(self._stack.enter_async_context(embedder_of(self.corpus.pk)))
        return self

    def __exit__(self, *_: object) -> None:
        with self._runner:
            self._runner.run(self._stack.aclose())

    def cut(self, text: Text) -> list[Span]:
        return chunk(text, size=self.corpus.chunk_size, overlap=self.corpus.chunk_overlap)

    def _write_passages(self, rows: list[Passage], *, so_far: float) -> None:
        dense = self._embed(rows)
        self._make_index(len(dense[0]) if dense else None)
        with holding(self.source):
            points = [_point(self.source, row) for row in self._keep(rows)]
            self._runner.run(self.index.upsert(points, dense))
            self._show_progress(self.shown_share + so_far * (self.share - self.shown_share))

    def _embed(self, rows: list[Passage]) -> list[list[float]] | None:
        if self.embedder is None:
            return None
        texts = ["\n".join(filter(None, (row.document.title, row.heading, row.text))) for row in rows]
        try:
            return self._runner.run(self.embedder.embed(texts))
        except Exception as error:  # whatever a model server may do; the seam names no errors
            raise EmbeddingFault(f"The embedding model did not answer: {error}") from error

    def _make_index(self, dense_size: int | None) -> None:
        if self.index_ready and dense_size == self.dense_size:  # a model may change behind its name
            return
        try:
            self._runner.run(self.index.ensure(dense_size))
        except IndexMismatch:
            self._remake_index(dense_size)
            raise Overtaken from None
        self.index_ready, self.dense_size = True, dense_size

    def _remake_index(self, dense_size: int | None) -> None:
        """The corpus has got another embedding model (or lost it): every file has to be read into a new index."""
        with transaction.atomic():
            Corpus.objects.select_for_update(no_key=True).filter(pk=self.corpus.pk).first()
            try:  # another reader may have been first
                self._runner.run(self.index.ensure(dense_size))
            except IndexMismatch:
                self._runner.run(self.index.drop())
                self._runner.run(self.index.ensure(dense_size))
                self.corpus.files.exclude(state=State.DELETING).ask_reading()

    def _drop_stale(self) -> None:
        with suppress(IndexMissing):
            self._runner.run(self.index.delete_stale(source=self.source.pk, keep_revision=self.source.revision))


def _document(source: SourceFile, text: Text, passage_count: int) -> Document:
    return Document(
        corpus_id=source.corpus_id,
        source=source,
        key=text.key,
        external_id=text.external_id,
        title=text.title,
        text=text.text,
        pages=list(text.pages),
        metadata=text.metadata,
        characters=len(text.text),
        passage_count=passage_count,
        revision=source.revision,
    )


def _passages(document: Document, text: Text, spans: Sequence[Span]) -> Iterator[Passage]:
    for index, span in enumerate(spans):
        yield Passage(
            corpus_id=document.corpus_id,
            document=document,
            index=index,
            text=text.text[span.start : span.end],
            start=span.start,
            end=span.end,
            page=span.page,
            heading=span.heading,
        )


def _point(source: SourceFile, row: Passage) -> IndexedPassage:
    return IndexedPassage(
        id=row.pk,
        document=row.document_id,
        source=source.pk,
        revision=source.revision,
        title=row.document.title,
        text=row.text,
        start=row.start,
        end=row.end,
        page=row.page,
        heading=row.heading,
    )
