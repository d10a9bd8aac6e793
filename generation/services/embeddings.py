"""Which endpoint turns a corpus's passages into vectors."""

from __future__ import annotations

from django.db import transaction

from datasets.models import Corpus, User
from datasets.services.activity import record_activity
from datasets.services.corpora import reread_corpus
from datasets.services.errors import Refused
from generation.models import CorpusEmbedding, Endpoint


@transaction.atomic
def choose_embedding(*, corpus: Corpus, endpoint: Endpoint | None, user: User) -> bool:
    """Search the corpus by meaning too, with the endpoint's embedding model; None searches by words alone.

    A change has every file read again, since vectors of two models cannot be compared. False: it was so already.
    """
    if endpoint is not None and not endpoint.embedding_model:
        raise Refused(f"“{endpoint}” names no embedding model: enter one on its page first.", field="endpoint")
    before = CorpusEmbedding.objects.select_for_update().filter(corpus=corpus).first()
    wanted = (endpoint.pk, endpoint.embedding_model) if endpoint else None
    if wanted == ((before.endpoint_id, before.model) if before else None):
        return False
    if before:
        before.delete()
    if endpoint:
        CorpusEmbedding.objects.create(corpus=corpus, endpoint=endpoint, model=endpoint.embedding_model)
    how = f"by words and by “{endpoint.embedding_model}”" if endpoint else "by words alone"
    text = f"had “{corpus.name}” searched {how}"
    record_activity(project=corpus.project, actor=user, text=text, path=f"corpora/{corpus.pk}/")
    reread_corpus(corpus=corpus, user=None)
    return True
