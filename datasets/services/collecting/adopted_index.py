"""An adopted corpus as an index: searched in the collection that it was copied from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asgiref.sync import sync_to_async

from datasets.foreign_index import ForeignCollection, Point
from datasets.index import Client, Hit, IndexedPassage, IndexFault, IndexMismatch, IndexMissing
from datasets.models import AdoptedCollection, Document, Passage
from datasets.reading.clean import key_of, title_of
from datasets.reading.payload import text_of, value_at

GONE = "The collection “{}” is not on its server any more."
NO_VECTOR = "“{}” has no vectors that can be searched: take another collection, or let runs retrieve nothing."
NO_MODEL = "“{}” is searched by its vectors alone: choose the embedding model that they were made with, under “How it is searched”."
MISMATCH = "The vectors of “{}” have {} dimensions and those of {} have {}: choose the embedding model that they were made with."


@dataclass(frozen=True, slots=True)
class Copy:
    """The document that a point was copied as, with its first passage."""

    document: int
    passage: int
    text: str


LookUp = Callable[[int, Sequence[str]], dict[str, Copy]]


class AdoptedIndex:
    """Is searched as `PassageIndex` is."""

    def __init__(self, client: Client, adopted: AdoptedCollection, corpus_id: int, look_up: LookUp) -> None:
        """`look_up` is `copies_of`, or does the same; it is called in the database thread."""
        self._collection = ForeignCollection(client, adopted.collection)
        self._adopted, self._corpus_id, self._look_up = adopted, corpus_id, look_up

    async def search(self, query: str, *, limit: int, dense: Sequence[float] | None = None) -> list[Hit]:
        """The points nearest to `dense`, the query's vector. What was copied is a passage of the archive; passage and
        document of any other hit are 0. Points without a text are left out.

        Raises IndexMismatch when `dense` is missing or of another size, else an IndexFault as the collection does.
        """
        if not query.strip():
            return []
        check_size(self._adopted, len(dense) if dense is not None else None, "the question’s vector")
        points = await self._nearest(dense or (), limit)
        copies = await sync_to_async(self._look_up)(self._corpus_id, [point.key for point in points])
        hits = (self._hit(point, copies.get(key_of(point.key))) for point in points)
        return [hit for hit in hits if hit.passage.text.strip()]

    async def _nearest(self, dense: Sequence[float], limit: int) -> list[Point]:
        using, threshold = self._adopted.vector, self._adopted.score_threshold
        try:
            return await self._collection.nearest(dense, using=using, limit=limit, threshold=threshold)
        except IndexMissing as error:  # unlike an index of our own, nobody here makes it anew
            raise IndexFault(GONE.format(self._adopted.collection)) from error

    def _hit(self, point: Point, copy: Copy | None) -> Hit:
        payload = point.payload or {}
        text = text_of(payload, self._adopted.content_key)
        if copy is not None and copy.text != text:  # changed since it was copied: the archive does not have this text
            copy = None
        title = title_of(str(value_at(payload, self._adopted.title_key) or ""))
        passage = IndexedPassage(
            id=copy.passage if copy else 0,
            document=copy.document if copy else 0,
            source=0,
            revision=0,
            title=title or f"{self._adopted.collection}, {point.key}",
            text=text,
            start=0,
            end=len(text),
            page=None,
            heading="",
        )
        return Hit(passage, point.score or 0.0, {"id": point.key, "collection_name": self._adopted.collection})


def copies_of(corpus_id: int, points: Sequence[str]) -> dict[str, Copy]:
    """By key, what of these points was copied."""
    documents = Document.objects.filter(source__corpus=corpus_id, key__in=[key_of(point) for point in points])
    rows = {pk: (key, text) for pk, key, text in documents.values_list("pk", "key", "text")}
    first = Passage.objects.filter(document__in=rows, index=0).values_list("document", "pk")
    return {rows[document][0]: Copy(document, passage, rows[document][1]) for document, passage in first}


def check_size(adopted: AdoptedCollection, size: int | None, whose: str) -> None:
    """Whether a query's vector of that size can be searched with. Raises IndexMismatch, with what to do, if not.

    `whose` vector it is stands in the sentence. None: there is no embedding model.
    """
    if adopted.size is None:
        raise IndexMismatch(NO_VECTOR.format(adopted.collection))
    if size is None:
        raise IndexMismatch(NO_MODEL.format(adopted.collection))
    if size != adopted.size:
        raise IndexMismatch(MISMATCH.format(adopted.collection, adopted.size, whose, size))


async def check_collection(client: Client, adopted: AdoptedCollection) -> None:
    """Whether the vector that is searched is still there, and as it was adopted. Raises an IndexFault if not."""
    try:
        described = await ForeignCollection(client, adopted.collection).describe()
    except IndexMissing as error:
        raise IndexFault(GONE.format(adopted.collection)) from error
    now = {vector.name: vector.size for vector in described.vectors}
    if adopted.size is not None and now.get(adopted.vector) != adopted.size:
        raise IndexFault(
            f"The vectors of “{adopted.collection}” have changed since it was adopted: look at its settings again."
        )
