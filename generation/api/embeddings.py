"""Which model turns questions, and the passages of our own corpora, into vectors."""

from __future__ import annotations

from typing import Annotated

from ninja import Field, Router, Schema

from datasets import tasks
from datasets.access import project_for
from datasets.api.corpora import CORPUS, find_corpus
from datasets.api.shapes import ApiRequest, Body, Id, Storable, enqueue, named
from datasets.models import Role
from datasets.services.errors import Refused
from generation.models import CorpusEmbedding, Trial
from generation.services import trials
from generation.services.servers.embeddings import choose_embedding
from generation.tasks import run_trial

router = Router(tags=["Corpora"])
EMBEDDING = CORPUS + "/embedding"
PATIENCE = 30.0
"""Seconds that a program waits for a model to be tried out."""


class EmbeddingIn(Body):
    endpoint: Id | None = Field(None, description="null: none, so that the corpus is searched by words alone.")
    model: Annotated[str, Storable] = Field("", max_length=150, description="Empty: the endpoint's own.")


class EmbeddingOut(Schema):
    endpoint: int | None
    model: str


@router.get(EMBEDDING, response=EmbeddingOut)
def get_embedding(request: ApiRequest, project: str, corpus: int) -> EmbeddingOut:
    """The model by which a corpus is searched by meaning; without an endpoint it is searched by words alone."""
    row = find_corpus(project_for(request.auth, project), corpus)
    chosen = CorpusEmbedding.objects.filter(corpus=row).first()
    return (
        EmbeddingOut(endpoint=chosen.endpoint_id, model=chosen.model)
        if chosen
        else EmbeddingOut(endpoint=None, model="")
    )


@router.put(EMBEDDING, response=EmbeddingOut)
def set_embedding(request: ApiRequest, project: str, corpus: int, body: EmbeddingIn) -> EmbeddingOut:
    """Search a corpus by meaning. One of our own is indexed anew. For an adopted one a worker asks the model for a vector,
    which has to be as long as the collection's: that is waited for up to 30 seconds. Needs the role of curator."""
    home = project_for(request.auth, project, Role.CURATOR)
    row = find_corpus(home, corpus)
    endpoint = named(home.endpoints, body.endpoint, "endpoint") if body.endpoint else None
    if row.adopted_id and endpoint:
        _try_out(trials.ask_for_choice(corpus=row, endpoint=endpoint, model=body.model, user=request.auth))
    elif choose_embedding(corpus=row, endpoint=endpoint, model=body.model, user=request.auth):
        for source in row.files.open():
            enqueue(tasks.ingest_file.delay, source.pk)
    return get_embedding(request, project, corpus)


def _try_out(trial: Trial) -> None:
    enqueue(run_trial.delay, trial.pk)
    trials.wait_for(trial=trial, seconds=PATIENCE)
    if trial.is_open:
        raise Refused(f"The model did not answer within {PATIENCE:g} s: it is chosen if it still does, so look again.")
    if trial.error:
        raise Refused(trial.error, field="endpoint")
