"""What the archive asks of the press: the vector of a question. A page must not wait for it, so workers make it."""

from __future__ import annotations

from functools import partial

from django.db import transaction

from datasets.models import Corpus, User
from datasets.services.collecting.search import Asked
from datasets.text import clean
from generation.adapters.embedding import embedding_of, known_vector
from generation.models import Trial
from generation.services import trials
from generation.tasks import run_trial

CHANGED = "The embedding model has been changed meanwhile: search again."


def ask_vector(*, corpus: Corpus, text: str, user: User, number: int | None = None) -> Asked:
    """The vector of a question to the corpus, if it is kept; else a trial that makes it, the one with that number if it
    is about the same."""
    embedding = embedding_of(corpus.pk)
    if embedding is None:
        return Asked()
    text = clean(text)
    if vector := known_vector(embedding, text):
        return Asked(vector=vector)
    wanted = {"corpus": corpus.pk, "text": text}
    trial = corpus.project.trials.filter(pk=number or 0, kind=Trial.Kind.QUESTION, request=wanted).first()
    if trial is None:
        trial = trials.ask_for(project=corpus.project, kind=Trial.Kind.QUESTION, request=wanted, user=user)
        transaction.on_commit(partial(run_trial.delay, trial.pk), robust=True)
    return Asked(waits=trial.pk) if trial.is_open else Asked(fault=trial.error or CHANGED)
