"""Corpora: bodies of documents that questions are asked about."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema
from pydantic import StringConstraints

from datasets import tasks
from datasets.access import project_for
from datasets.index import Hit
from datasets.models import Corpus, Project, Role
from datasets.models.corpora import CorpusQuerySet
from datasets.services.collecting import corpora
from datasets.services.collecting.search import await_vector, search_corpus
from datasets.services.errors import Refused

from .shapes import PROJECT, ApiRequest, Body, Line, Page, Place, Storable, enqueue, page_of

router = Router(tags=["Corpora"])

CORPORA = PROJECT + "/corpora"
CORPUS = CORPORA + "/{int:corpus}"


class CorpusIn(Body):
    name: Line = Field(examples=["Support handbook"])
    description: Annotated[str, Storable] = Field("", max_length=5_000)
    chunk_size: int = Field(1200, ge=200, le=20_000, description="Longest passage, in characters.")
    chunk_overlap: int = Field(150, ge=0, le=5_000, description="Characters that neighbouring passages share.")


class CorpusChange(Body):
    """What is left out stays as it is."""

    name: Line | None = None
    description: Annotated[str, Storable] | None = Field(None, max_length=5_000)
    chunk_size: int | None = Field(None, ge=200, le=20_000)
    chunk_overlap: int | None = Field(None, ge=0, le=5_000)


class AdoptedOut(Schema):
    """What is read of somebody else's collection."""

    url: str
    collection: str
    content_key: str
    title_key: str
    id_key: str
    max_docs: int = Field(description="Points that are copied, at most.")
    points: int = Field(description="In the collection, when it was last read.")
    vector: str = Field(description="Name of the vector that is searched; empty for one without a name.")
    size: int | None = Field(description="Its dimensions; null where there is none.")
    distance: str
    score_threshold: float | None


class CorpusOut(Schema):
    id: int
    name: str
    description: str
    chunk_size: int
    chunk_overlap: int
    files: int = Field(alias="file_total")
    documents: int = Field(alias="document_total")
    passages: int = Field(alias="passage_total")
    open_files: int = Field(alias="open_total", description="Files that a worker has yet to finish; 0: all is read.")
    failed_files: int = Field(alias="failed_total")
    adopted: AdoptedOut | None = Field(description="The collection that it is read from; null: it is read from files.")
    created: datetime


class HitOut(Schema):
    """A passage that a search found."""

    score: float = Field(description="BM25, or reciprocal rank fusion where the corpus has vectors; best first.")
    passage: int = Field(description="0 for a point of an adopted collection that was not copied.")
    document: int = Field(description="0 likewise.")
    title: str
    text: str
    start: int = Field(description="Character offset into the document's text.")
    end: int
    page: int | None
    heading: str


def find_corpus(project: Project, pk: int) -> Corpus:
    return get_object_or_404(_corpora(project), pk=pk)


def _corpora(project: Project) -> CorpusQuerySet:
    return project.corpora.with_totals().prefetch_related("adopted")


@router.get(CORPORA, response=Page[CorpusOut])
def list_corpora(request: ApiRequest, project: str, place: Query[Place]) -> dict[str, Any]:
    """The corpora of a project, oldest first."""
    return page_of(_corpora(project_for(request.auth, project)), place)


@router.post(CORPORA, response={201: CorpusOut})
def create_corpus(request: ApiRequest, project: str, body: CorpusIn) -> Corpus:
    """An empty corpus; upload files into it next. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    made = corpora.create_corpus(project=row, user=request.auth, **body.dict())
    return find_corpus(row, made.pk)


@router.get(CORPUS, response=CorpusOut)
def get_corpus(request: ApiRequest, project: str, corpus: int) -> Corpus:
    """One corpus, with how much of it has been read."""
    return find_corpus(project_for(request.auth, project), corpus)


@router.patch(CORPUS, response=CorpusOut)
def change_corpus(request: ApiRequest, project: str, corpus: int, body: CorpusChange) -> Corpus:
    """When its passages are to be cut otherwise, its files are read again. Needs the role of curator."""
    row = find_corpus(project_for(request.auth, project, Role.CURATOR), corpus)
    said: dict[str, Any] = {"name": row.name, "description": row.description} | body.dict(exclude_none=True)
    if row.adopted_id and said.keys() & {"chunk_size", "chunk_overlap"}:
        raise Refused("Points of a collection are passages as they are: leave the sizes out.", field="chunk_size")
    if corpora.update_corpus(corpus=row, user=request.auth, **said):
        for source in row.files.open():
            enqueue(tasks.ingest_file.delay, source.pk)
    return find_corpus(row.project, corpus)


@router.delete(CORPUS, response={204: None})
def delete_corpus(request: ApiRequest, project: str, corpus: int) -> None:
    """Gone at once for everybody; a worker clears away its files, passages and vectors. Needs the role of curator."""
    row = find_corpus(project_for(request.auth, project, Role.CURATOR), corpus)
    corpora.delete_corpus(corpus=row, user=request.auth)
    enqueue(tasks.clear_corpus.delay, row.pk)


@router.post(CORPUS + "/reread", response=CorpusOut)
def reread_corpus(request: ApiRequest, project: str, corpus: int) -> Corpus:
    """Have its files read, or its collection copied, once more. Needs the role of curator."""
    row = find_corpus(project_for(request.auth, project, Role.CURATOR), corpus)
    corpora.reread_corpus(corpus=row, user=request.auth)
    for source in row.files.open():
        enqueue(tasks.ingest_file.delay, source.pk)
    return find_corpus(row.project, corpus)


@router.get(CORPUS + "/search", response=list[HitOut])
def search_passages(
    request: ApiRequest,
    project: str,
    corpus: int,
    q: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000)],
    limit: Annotated[int, Field(ge=1, le=50)] = 10,
) -> list[dict[str, Any]]:
    """The passages that retrieval returns for `q`, best first: what an assistant would be shown.

    Where the corpus is searched by meaning, a worker has the embedding model make a vector of `q`, unless it is known
    from before: that is waited for up to 20 seconds, then the search is refused."""
    row = find_corpus(project_for(request.auth, project), corpus)
    vector = await_vector(corpus=row, text=q, user=request.auth)
    return [_hit(hit) for hit in search_corpus(corpus=row, query=q, limit=limit, vector=vector)]


def _hit(hit: Hit) -> dict[str, Any]:
    shown = ("document", "title", "text", "start", "end", "page", "heading")
    return {"score": hit.score, "passage": hit.passage.id} | {name: getattr(hit.passage, name) for name in shown}
