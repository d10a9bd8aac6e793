"""Parts that the tests of adopted collections share."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from qdrant_client import QdrantClient, models

from datasets.models import Corpus, Project, SourceFile
from datasets.services.collecting import adopting
from datasets.services.collecting.adopting import Reading
from datasets.services.collecting.ingest import ingest
from generation.models import CorpusEmbedding, Endpoint
from tests.fixtures_foreign_qdrant import ForeignQdrant
from tests.fixtures_model_server import RunningModelServer
from tests.model_server_replies import vector

SIZE = 64
"""Of the model server's vectors."""
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


def fill_alike(qdrant: QdrantClient, name: str = "court", vector_name: str = "", size: int = SIZE) -> None:
    """The TEXTS with the model server's own vectors."""
    params = models.VectorParams(size=size, distance=models.Distance.COSINE)
    other = models.VectorParams(size=2, distance=models.Distance.DOT)
    qdrant.create_collection(name, {"other": other, vector_name: params} if vector_name else params)
    made = [list(vector(text, size)) for text in TEXTS]
    points = [
        models.PointStruct(
            id=n, vector={vector_name: each} if vector_name else each, payload={"text": text, "title": f"Case {n}"}
        )
        for n, (text, each) in enumerate(zip(TEXTS, made, strict=True), 1)
    ]
    qdrant.upsert(name, points)


def choose(corpus: Corpus, endpoint: Endpoint, model: str = "embed-1") -> None:
    CorpusEmbedding.objects.create(corpus=corpus, endpoint=endpoint, model=model)


def embedding_endpoint(project: Project, model_server: RunningModelServer) -> Endpoint:
    return project.endpoints.create(
        name="Vectors", preset="custom", base_url=model_server.base_url, embedding_model="embed-1"
    )
