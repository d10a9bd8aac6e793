"""Vectors of passages and of questions that are kept for when the same text comes again, in the table PassageVector."""

from __future__ import annotations

import hashlib
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import Func, IntegerField
from django.utils import timezone

from generation.engine.protocols import Embedder
from generation.engine.providers.embedder import BATCH
from generation.kinds import LOCAL
from generation.models import Call, CorpusEmbedding, PassageVector
from generation.models.endpoints import PassageVectorQuerySet

from .metering import Meter, lines
from .threads import in_a_thread

Vector = list[float]


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where the vectors of one endpoint's model are kept. `place` says where the model is: one elsewhere makes others."""

    endpoint: int
    model: str
    place: str

    @classmethod
    def of(cls, embedding: CorpusEmbedding) -> Shelf:
        """By the server's address, or by the files of a model of this machine."""
        endpoint, model = embedding.endpoint, embedding.model
        place = settings.LOCAL_EMBEDDING_MODELS.get(model, "") if endpoint.preset == LOCAL else endpoint.base_url
        return cls(endpoint.pk, model, place)

    def digest(self, text: str) -> bytes:
        return hashlib.sha256(f"{self.place}\n{text}".encode("utf-8", "surrogatepass")).digest()

    def find(self, digests: Iterable[bytes]) -> dict[bytes, Vector]:
        """The vectors that are kept, all equally long. They have been used today."""
        today = timezone.localdate()
        rows = list(self._rows.filter(digest__in=list(digests)).values_list("pk", "digest", "vector", "used"))
        found = {bytes(digest): _unpacked(vector) for _, digest, vector, _ in rows}
        if len(set(map(len, found.values()))) > 1:  # two readers have heard of two models at the same moment
            self._rows.delete()
            return {}
        if older := [pk for pk, _, _, used in rows if used < today]:
            PassageVector.objects.use(older, today)
        return found

    def keep(self, vectors: Mapping[bytes, Vector]) -> None:
        """Nothing is kept of a reply whose vectors differ in length."""
        sizes = set(map(len, vectors.values()))
        if len(sizes) != 1:
            return
        self.keep_only(*sizes)
        today = timezone.localdate()
        PassageVector.objects.bulk_create(
            [
                PassageVector(
                    endpoint_id=self.endpoint, model=self.model, digest=digest, vector=_packed(vector), used=today
                )
                for digest, vector in sorted(vectors.items())  # in one order, so that no two readers block each other
            ],
            ignore_conflicts=True,
        )

    def keep_only(self, size: int) -> None:
        """Forget the model's vectors if theirs is another length: it is another model now, whatever its name says."""
        length = Func("vector", function="octet_length", output_field=IntegerField())
        if any(kept != 4 * size for kept in self._rows.values_list(length, flat=True)[:1]):
            self._rows.delete()

    @property
    def _rows(self) -> PassageVectorQuerySet:
        return PassageVector.objects.filter(endpoint=self.endpoint, model=self.model)


class KeptEmbedder:
    """An embedder that asks another only for texts whose vectors are not kept.

    Each reply is kept and in the project's ledger before the next is asked for: a reader that is killed has paid for at
    most one request in vain.
    """

    def __init__(self, embedder: Embedder, shelf: Shelf, meter: Meter, project: int) -> None:
        self._embedder, self._shelf, self._meter, self._project = embedder, shelf, meter, project

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, in the order of the texts."""
        digests = [self._shelf.digest(text) for text in texts]
        wanted = dict(zip(digests, texts, strict=True))
        known = await in_a_thread(self._shelf.find, wanted)
        fresh = await self._ask({digest: text for digest, text in wanted.items() if digest not in known})
        if known and fresh and _size(known) != _size(fresh):
            fresh |= await self._ask({digest: wanted[digest] for digest in known})
        vectors = known | fresh
        return [vectors[digest] for digest in digests]

    async def _ask(self, wanted: Mapping[bytes, str]) -> dict[bytes, Vector]:
        items, vectors = list(wanted.items()), dict[bytes, Vector]()
        for start in range(0, len(items), BATCH):
            digests, texts = zip(*items[start : start + BATCH], strict=True)
            fresh = dict(zip(digests, await self._embedder.embed(texts), strict=True))
            await in_a_thread(self._land, fresh)
            vectors |= fresh
        return vectors

    def _land(self, fresh: Mapping[bytes, Vector]) -> None:
        metered = self._meter.read()
        with transaction.atomic():
            self._shelf.keep(fresh)
            Call.objects.bulk_create(lines(metered, project=self._project))
        self._meter.settle(metered)


class Watchful:
    """An embedder of questions to a corpus. Where its vectors are not as long as those that are kept of passages, these
    are forgotten, so that reading the corpus again mends what does not fit any more."""

    def __init__(self, embedder: Embedder, shelf: Shelf) -> None:
        self._embedder, self._shelf = embedder, shelf
        self._size = 0

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, in the order of the texts."""
        vectors = await self._embedder.embed(texts)
        if vectors and len(vectors[0]) != self._size:
            self._size = len(vectors[0])
            await in_a_thread(self._shelf.keep_only, self._size)
        return vectors


def _size(vectors: Mapping[bytes, Vector]) -> int:
    return len(next(iter(vectors.values())))


def _packed(vector: Vector) -> bytes:
    return _little_endian(array("f", vector)).tobytes()


def _unpacked(stored: bytes | memoryview) -> Vector:
    values = array("f")
    values.frombytes(bytes(stored))
    return _little_endian(values).tolist()


def _little_endian(values: array[float]) -> array[float]:
    if sys.byteorder == "big":
        values.byteswap()
    return values
