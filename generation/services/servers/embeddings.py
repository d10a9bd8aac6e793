"""Which endpoint turns a corpus's passages into vectors."""

from __future__ import annotations

import asyncio

from django.db import transaction
from django.db.models import prefetch_related_objects

from datasets.models import AdoptedCollection, Corpus, User
from datasets.secrets import Undecryptable
from datasets.services.activity import record_activity
from datasets.services.corpora import reread_corpus
from datasets.services.errors import Refused
from generation.adapters.metering import Meter, write_down
from generation.adapters.retrieving import check_model
from generation.adapters.speaking import Switchboard
from generation.engine.errors import EngineError
from generation.engine.providers import ClientPool
from generation.kinds import LOCAL
from generation.models import CorpusEmbedding, Endpoint

PATIENCE = 8.0
"""Seconds that somebody at a page waits for a model."""
LOADING = 60.0
"""The same for a model of this machine, which is loaded first."""


def choose_embedding(*, corpus: Corpus, endpoint: Endpoint | None, model: str = "", user: User) -> bool:
    """Search the corpus by meaning too, with a model of the endpoint, its own unless named; None searches by words alone.

    A change has every file read again, since vectors of two models cannot be compared. The vectors of an adopted
    collection are there already: the model is asked for one, which has to have their size. False: it was so already.
    """
    model = (model or endpoint.embedding_model) if endpoint else ""
    if endpoint is not None and not model:
        raise Refused(f"“{endpoint}” names no embedding model: enter one on its page first.", field="endpoint")
    if endpoint is not None and corpus.adopted is not None:
        _try_out(corpus.adopted, endpoint, model)
    return _choose(corpus, endpoint, model, user)


def _try_out(adopted: AdoptedCollection, endpoint: Endpoint, model: str) -> None:
    prefetch_related_objects([endpoint], "keys")
    meter, patience = Meter(), LOADING if endpoint.preset == LOCAL else PATIENCE
    try:
        asyncio.run(asyncio.wait_for(_ask(adopted, endpoint, model, meter), patience))
    except TimeoutError as error:
        raise Refused(f"“{endpoint}” did not answer within {patience:g} s: try again.", field="endpoint") from error
    except (EngineError, Undecryptable) as error:
        raise Refused(str(error), field="endpoint") from error
    finally:
        write_down(meter, project=endpoint.project_id)


async def _ask(adopted: AdoptedCollection, endpoint: Endpoint, model: str, meter: Meter) -> None:
    async with ClientPool() as pool:
        embedder = Switchboard([endpoint], pool, meter=meter).embedder(endpoint.pk, model)
        await check_model(adopted, embedder, model)


@transaction.atomic
def _choose(corpus: Corpus, endpoint: Endpoint | None, model: str, user: User) -> bool:
    before = CorpusEmbedding.objects.select_for_update().filter(corpus=corpus).first()
    wanted = (endpoint.pk, model) if endpoint else None
    if wanted == ((before.endpoint_id, before.model) if before else None):
        return False
    if before:
        before.delete()
    if endpoint:
        CorpusEmbedding.objects.create(corpus=corpus, endpoint=endpoint, model=model)
    record_activity(
        project=corpus.project, actor=user, text=_told(corpus, endpoint, model), path=f"corpora/{corpus.pk}/"
    )
    if corpus.adopted_id is None:
        reread_corpus(corpus=corpus, user=None)
    return True


def _told(corpus: Corpus, endpoint: Endpoint | None, model: str) -> str:
    if corpus.adopted_id:
        return f"had “{corpus.name}” searched by “{model}”" if endpoint else f"left “{corpus.name}” without a model"
    return f"had “{corpus.name}” searched {f'by words and by “{model}”' if endpoint else 'by words alone'}"
