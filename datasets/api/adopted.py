"""Corpora that are read from somebody else's Qdrant collection."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

from ninja import Field, Router

from datasets import tasks
from datasets.access import project_for
from datasets.models import Corpus, Role
from datasets.models.adopted import MOST_POINTS
from datasets.services.collecting import adopting
from datasets.services.collecting.adopting import Reading

from .corpora import CORPORA, CorpusOut, find_corpus
from .shapes import ApiRequest, Body, Line, Storable, enqueue

router = Router(tags=["Corpora"])
KeyPath = Annotated[str, Storable]


class AdoptIn(Body):
    """Keys are names of the payload, nested ones with dots. Without a `content_key` the usual names are looked for."""

    name: Line
    description: Annotated[str, Storable] = Field("", max_length=5_000)
    url: Annotated[str, Storable] = Field(max_length=300, examples=["https://qdrant.example.org"])
    api_key: str = Field("", max_length=500, description="Encrypted, and never shown again.")
    collection: Annotated[str, Storable] = Field(min_length=1, max_length=255)
    content_key: KeyPath = Field("", max_length=200)
    title_key: KeyPath = Field("", max_length=200)
    id_key: KeyPath = Field("", max_length=200)
    max_docs: int = Field(10_000, ge=1, le=MOST_POINTS, description="Points that are copied.")
    vector: str | None = Field(
        None, max_length=255, description="Name of the vector that is searched; null: the longest."
    )
    score_threshold: float | None = None


@router.post(CORPORA + "/adopted", response={201: CorpusOut})
def adopt_collection(request: ApiRequest, project: str, body: AdoptIn) -> Corpus:
    """A corpus from a Qdrant collection that somebody else filled: its points are copied, answers are retrieved from the
    collection itself, and nothing is ever written to it. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    corpus, source = adopting.adopt_collection(
        project=row,
        name=body.name,
        description=body.description,
        url=body.url.rstrip("/"),
        key=body.api_key,
        collection=body.collection,
        reading=Reading(**{field.name: getattr(body, field.name) for field in fields(Reading)}),
        user=request.auth,
    )
    enqueue(tasks.ingest_file.delay, source.pk)
    return find_corpus(row, corpus.pk)
