"""What a deleted file takes with it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from django.conf import settings

from datasets.index import IndexMissing, PassageIndex, connect
from datasets.models import Document, SourceFile
from datasets.models.corpora import DocumentQuerySet
from datasets.services.collecting.claims import holding

SOME = 200


def clear_file(source: SourceFile) -> None:
    """Everything of a claimed file: rows, points, then the stored content together with the file's own row."""
    clear_documents(source)
    with holding(source):
        source.file.delete(save=False)
        SourceFile.objects.filter(pk=source.pk).delete()


def clear_documents(source: SourceFile) -> None:
    """All documents of a claimed file, with their passages and points."""
    while delete_some(source, source.documents.all()):
        pass
    if source.corpus.adopted_id:  # its points are somebody else's
        return
    with holding(source):
        asyncio.run(_delete_points(source.corpus.collection, source.pk))


def delete_some(source: SourceFile, documents: DocumentQuerySet) -> int:
    """Delete the first few of these documents with their passages. Returns how many; 0 when there are none left."""
    with holding(source):
        some = list(documents.order_by("pk").values_list("pk", flat=True)[:SOME])
        Document.objects.filter(pk__in=some).only("pk").delete()
    return len(some)


async def _delete_points(collection: str, source: int) -> None:
    async with connect(settings.QDRANT_URL, settings.QDRANT_API_KEY) as client:
        with suppress(IndexMissing):
            await PassageIndex(client, collection).delete_sources([source])
