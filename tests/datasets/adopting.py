"""Parts that the tests of adopted collections share."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from qdrant_client import QdrantClient, models

from datasets.models import Corpus, Project, SourceFile
from datasets.services import adopting
from datasets.services.adopting import Reading
from datasets.services.ingest import ingest
from tests.fixtures_foreign_qdrant import ForeignQdrant

TEXTS = ["The cat sleeps on the warm windowsill.", "The dog waits at the garden gate.", "Rain falls on the roof."]


def fill(qdrant: QdrantClient, name: str = "court", points: list[tuple[Any, dict[str, Any]]] | None = None) -> None:
    """A collection with one nameless vector of 4 dimensions."""
    given = points or [(n, {"text": text, "title": f"Case {n}", "ref": f"c-{n}"}) for n, text in enumerate(TEXTS, 1)]
    qdrant.create_collection(name, models.VectorParams(size=4, distance=models.Distance.COSINE))
    structs = [
        models.PointStruct(id=point, vector=[1.0, float(at), 0, 0], payload=each)
        for at, (point, each) in enumerate(given)
    ]
    qdrant.upsert(name, structs)


def adopt(project: Project, foreign: ForeignQdrant, collection: str = "court", key: str = "", **reading: Any) -> Corpus:
    """Adopted, and copied."""
    wanted = Reading(**reading)
    corpus, source = adopting.adopt_collection(
        project=project, name=collection, url=foreign.url, key=key, collection=collection, reading=wanted, user=None
    )
    ingest(source.pk)
    return corpus


def source_of(corpus: Corpus) -> SourceFile:
    return corpus.files.get()


def at(name: str, corpus: Corpus, *more: Any) -> str:
    return reverse(f"datasets:{name}", args=[corpus.project.slug, corpus.pk, *more])


def adopting_page(project: Project) -> str:
    return reverse("datasets:corpus-adopt", args=[project.slug])
