"""The points of somebody else's collection, as the documents that they are copied as."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

from datasets.foreign_index import PAGE, ForeignCollection, Point, connect_foreign
from datasets.index import IndexDenied, IndexMissing
from datasets.models import AdoptedCollection
from datasets.reading import Problem, Text, Unreadable
from datasets.reading.payload import Keys, document
from datasets.secrets import Undecryptable
from datasets.services.collecting.adopted_index import GONE


def copied(adopted: AdoptedCollection) -> Generator[Text | Problem]:
    """Each of its first points, up to `max_docs`: as a document, or why it is none.

    Raises Unreadable when it cannot be read as it stands, and an IndexFault when that may pass.
    """
    keys, has_text = Keys(adopted.content_key, adopted.title_key, adopted.id_key), False
    try:
        for point, share in _points(adopted):
            found = document(point.key, point.payload or {}, keys, adopted.collection, share)
            has_text = has_text or isinstance(found, Text)
            yield found
    except IndexMissing as error:
        raise Unreadable(GONE.format(adopted.collection)) from error
    except (IndexDenied, Undecryptable) as error:
        raise Unreadable(str(error)) from error
    if not has_text:
        raise Unreadable(f"No point that was read has a text under “{adopted.content_key}”: pick another key.")


def _points(adopted: AdoptedCollection) -> Generator[tuple[Point, float]]:
    """The points, each with the share that has been read once it is taken. Holds one page at a time."""
    with asyncio.Runner() as runner:
        client = connect_foreign(adopted.url, adopted.reveal())
        try:
            collection = ForeignCollection(client, adopted.collection)
            described = runner.run(collection.describe())
            AdoptedCollection.objects.filter(pk=adopted.pk).update(points=described.points)
            total = max(1, min(described.points, adopted.max_docs))
            done, offset = 0, None
            while done < adopted.max_docs:
                page, offset = runner.run(collection.page(offset, min(PAGE, adopted.max_docs - done)))
                yield from ((point, min(1.0, number / total)) for number, point in enumerate(page, done + 1))
                done += len(page)
                if offset is None or not page:
                    return
        finally:
            runner.run(client.close())
