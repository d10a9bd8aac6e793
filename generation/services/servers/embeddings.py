"""Which endpoint turns a corpus's passages into vectors."""

from __future__ import annotations

from django.db import transaction

from datasets.models import Corpus, User
from datasets.services.activity import record_activity
from datasets.services.collecting.corpora import reread_corpus
from datasets.services.errors import Refused
from generation.models import CorpusEmbedding, Endpoint


def model_named(endpoint: Endpoint, model: str) -> str:
    """That model, or else the endpoint's own. Refused when neither is named."""
    if not model and not endpoint.embedding_model:
        raise Refused(f"“{endpoint}” names no embedding model: enter one on its page first.", field="endpoint")
    return model or endpoint.embedding_model


@transaction.atomic
def choose_embedding(*, corpus: Corpus, endpoint: Endpoint | None, model: str = "", user: User | None) -> bool:
    """Search the corpus by meaning too, with a model of the endpoint, its own unless named; None searches by words alone.

    A change has every file read again, since vectors of two models cannot be compared. Those of an adopted collection are
    there already: a trial finds out first whether the model's are as long. False: it was so already.
    """
    model = model_named(endpoint, model) if endpoint else ""
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
