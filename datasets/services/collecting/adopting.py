"""Collections that somebody else filled: looked at, adopted as a corpus, and read otherwise later on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from datasets.addresses import check_not_link_local, check_web_address
from datasets.foreign_index import DenseVector, Described, ForeignCollection, connect_foreign, list_collections
from datasets.index import PORT, Client, IndexFault, IndexMissing
from datasets.models import AdoptedCollection, Corpus, Project, SourceFile, User
from datasets.reading.payload import Keys, guess, keys_in, text_of
from datasets.secrets import Undecryptable
from datasets.services.activity import record_activity
from datasets.services.errors import Refused

Answer = TypeVar("Answer")
PATIENCE = 8.0
"""Seconds that somebody at a page waits for another server."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a collection is like, as far as its first points tell."""

    points: int
    vectors: tuple[DenseVector, ...]
    keys: list[str]
    guessed: Keys | None
    sample: list[dict[str, Any]]

    def vector(self, name: str) -> DenseVector | None:
        return next((vector for vector in self.vectors if vector.name == name), None)


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read of a collection, and by which of its vectors it is searched. Keys are a.b.c where they are nested.

    Without a `content_key` the usual names are looked for, of titles and ids too; `vector` None is the longest.
    """

    content_key: str = ""
    title_key: str = ""
    id_key: str = ""
    max_docs: int = 10_000
    vector: str | None = None
    score_threshold: float | None = None


EVERYTHING_USUAL = Reading()


def collections_at(*, url: str, key: str | None) -> list[str]:
    """The names of the collections at a server. Refused, with what to do, when it does not answer as Qdrant does."""
    try:
        return _asked(url, key, list_collections)
    except IndexMissing:
        raise Refused(f"What answers at {url} is not Qdrant: check the address.", field="url") from None


def look_at(*, url: str, key: str | None, collection: str) -> Look:
    """Refused, with what to do, when it cannot be looked at."""

    async def look(client: Client) -> tuple[Described, list[dict[str, Any]]]:
        foreign = ForeignCollection(client, collection)
        return await foreign.describe(), await foreign.sample()

    try:
        described, sample = _asked(url, key, look)
    except IndexMissing:
        raise Refused("There is no such collection on that server: choose another.", field="collection") from None
    return Look(described.points, described.vectors, keys_in(sample), guess(sample), sample)


def look_again(*, corpus: Corpus, key: str = "") -> Look:
    """At the collection of an adopted corpus, with this key or else the one that is kept."""
    adopted = corpus.adopted
    assert adopted is not None
    try:
        return look_at(url=adopted.url, key=key or adopted.reveal(), collection=adopted.collection)
    except Undecryptable as error:
        raise Refused(str(error), field="key") from error


def _asked(url: str, key: str | None, ask: Callable[[Client], Awaitable[Answer]]) -> Answer:
    try:
        check_web_address(url)
        check_not_link_local(url, PORT)
    except ValidationError as error:
        raise Refused(error.messages[0], field="url") from error

    async def connected() -> Answer:
        async with connect_foreign(url, key) as client, asyncio.timeout(PATIENCE):
            return await ask(client)

    try:
        return asyncio.run(connected())
    except IndexMissing:
        raise
    except IndexFault as error:
        raise Refused(str(error), field="url") from error
    except TimeoutError as error:
        raise Refused(f"{url} did not answer within {PATIENCE:g} s: check the address.", field="url") from error


def adopt_collection(
    *,
    project: Project,
    name: str,
    url: str,
    key: str,
    collection: str,
    reading: Reading = EVERYTHING_USUAL,
    user: User | None,
    description: str = "",
) -> tuple[Corpus, SourceFile]:
    """A corpus that is read from this collection, and what a worker is to copy. The collection itself is never changed.

    Refused when it cannot be read so.
    """
    look = look_at(url=url, key=key or None, collection=collection)
    adopted = AdoptedCollection(url=url, collection=collection, points=look.points)
    _settle(adopted, completed(reading, look), look)
    adopted.seal(key)
    try:
        with transaction.atomic():
            adopted.save()
            corpus = Corpus.objects.create(project=project, name=name, description=description, adopted=adopted)
            source = SourceFile.objects.create(corpus=corpus, name=collection, size=0, created_by=user)
            _record(corpus, user, f"adopted the collection “{collection}” as “{name}”")
    except IntegrityError as error:
        raise Refused("Another corpus has that name: choose a different one.", field="name") from error
    return corpus, source


def change_reading(*, corpus: Corpus, reading: Reading, key: str = "", user: User | None) -> bool:
    """Have an adopted corpus read otherwise; a non-empty `key` replaces the one that is kept.

    Returns whether it is to be copied again. Refused when it cannot be read so.
    """
    assert corpus.adopted is not None
    adopted = corpus.adopted
    before = (adopted.content_key, adopted.title_key, adopted.id_key, adopted.max_docs)
    look = look_again(corpus=corpus, key=key)
    _settle(adopted, completed(reading, look), look)
    if key:
        adopted.seal(key)
    with transaction.atomic():
        adopted.save()
        _record(corpus, user, f"changed what is read of “{corpus.name}”")
        again = before != (adopted.content_key, adopted.title_key, adopted.id_key, adopted.max_docs)
        return again and corpus.files.ask_reading() > 0


def completed(reading: Reading, look: Look) -> Reading:
    """What it leaves open is as the first points suggest."""
    if reading.vector is None:
        longest = max(look.vectors, key=lambda vector: vector.size, default=None)
        reading = replace(reading, vector=longest.name if longest else "")
    if reading.content_key:
        return reading
    keys = look.guessed or Keys("")
    titles, ids = reading.title_key or keys.title, reading.id_key or keys.id
    return replace(reading, content_key=keys.content, title_key=titles, id_key=ids)


def _settle(adopted: AdoptedCollection, reading: Reading, look: Look) -> None:
    """Checks a reading against the collection, and puts it into the row."""
    if not look.sample:
        raise Refused("The collection is empty: fill it first, or choose another.", field="collection")
    if not any(text_of(payload, reading.content_key).strip() for payload in look.sample):
        known = f" There are {', '.join(look.keys[:12])}." if look.keys else ""
        raise Refused(f"None of its first points has a text under “{reading.content_key}”.{known}", field="content_key")
    vector = look.vector(reading.vector or "")
    if vector is None and look.vectors:
        names = ", ".join(f"“{each.name}”" if each.name else "the one without a name" for each in look.vectors)
        raise Refused(f"The collection has no such vector: choose among {names}.", field="vector")
    adopted.content_key, adopted.title_key, adopted.id_key = reading.content_key, reading.title_key, reading.id_key
    adopted.max_docs, adopted.score_threshold = reading.max_docs, reading.score_threshold
    adopted.vector = vector.name if vector else ""
    adopted.size, adopted.distance = (vector.size, vector.distance) if vector else (None, "")


def _record(corpus: Corpus, user: User | None, text: str) -> None:
    record_activity(project=corpus.project, actor=user, text=text, path=f"corpora/{corpus.pk}/")
