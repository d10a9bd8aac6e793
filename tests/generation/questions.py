"""Questions to corpora that are searched by meaning, and whoever makes their vectors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

from datasets.index import Hit
from datasets.models import Corpus
from datasets.services.collecting.search import Asked, ask_vector, search_corpus
from generation.models import Trial
from generation.services import trials


def carry_out_all() -> int:
    """As a worker does what waits; how many trials there were."""
    waiting = list(Trial.objects.filter(state=Trial.State.WAITING).order_by("pk"))
    for trial in waiting:
        trials.carry_out(trial_id=trial.pk)
    return len(waiting)


@contextmanager
def working() -> Iterator[None]:
    """Beside the block, as a worker does beside a request that waits for it."""
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.05):
            carry_out_all()
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def asked(corpus: Corpus, text: str) -> Asked:
    """The vector of a question, once a worker was at it."""
    user = corpus.project.memberships.first().user
    first = ask_vector(corpus=corpus, text=text, user=user)
    if not first.waits:
        return first
    carry_out_all()
    return ask_vector(corpus=corpus, text=text, user=user, number=first.waits)


def searched(corpus: Corpus, query: str, limit: int = 1) -> list[Hit]:
    """What a page shows in the end."""
    return search_corpus(corpus=corpus, query=query, limit=limit, vector=asked(corpus, query).vector)
