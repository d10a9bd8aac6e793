"""What the run form says of adopted corpora that nothing can be retrieved from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets.models import AdoptedCollection, Corpus, Project, User
from generation.models import CorpusEmbedding
from tests.generation.runs import expert

ClientOf = Callable[[User], Client]
pytestmark = pytest.mark.django_db


def adopted(project: Project, name: str = "Law", size: int | None = 64) -> Corpus:
    where = AdoptedCollection.objects.create(url="http://q:6333", collection="law", content_key="text", size=size)
    return Corpus.objects.create(project=project, name=name, adopted=where)


def shown(client: Client, project: Project) -> tuple[str, dict[str, Any]]:
    """The page of the form, and what a browser would post of it."""
    answer = client.get(reverse("generation:run-new", args=[project.slug]))
    return answer.content.decode(), dict(answer.context["form"].as_posted().data)


def test_a_corpus_without_an_embedding_model_is_warned_of_with_the_way_to_mend_it(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    expert(project)
    corpus, client = adopted(project), client_of(teammate)
    link = reverse("generation:corpus-embedding", args=[project.slug, corpus.pk])
    page, values = shown(client, project)
    assert "“law” is searched by its vectors alone" in page
    assert f'href="{link}"' in page

    estimate = reverse("generation:run-estimate", args=[project.slug])
    part = client.post(estimate, values).content.decode()
    assert 'id="unsearchable"' in part
    assert 'hx-swap-oob="true"' in part
    assert f'href="{link}"' in part
    assert link not in client.post(estimate, values | {"retrieval_when": "never"}).content.decode()

    endpoint = project.endpoints.create(name="Vectors", preset="custom", base_url="http://v/v1", embedding_model="e")
    CorpusEmbedding.objects.create(corpus=corpus, endpoint=endpoint, model="e")
    assert link not in shown(client, project)[0]


def test_a_collection_without_vectors_is_warned_of_too(project: Project, teammate: User, client_of: ClientOf) -> None:
    expert(project)
    corpus = adopted(project, size=None)
    page, _ = shown(client_of(teammate), project)
    assert "has no vectors that can be searched" in page
    assert reverse("generation:corpus-embedding", args=[project.slug, corpus.pk]) not in page


def test_a_corpus_that_is_retrieved_from_besides_is_warned_of_and_one_of_files_is_not(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    expert(project)
    other, client = adopted(project), client_of(teammate)
    Corpus.objects.create(project=project, name="Files")
    page, values = shown(client, project)
    assert "searched by its vectors alone" not in page
    more = f"retrieval:\n  retriever:\n    kind: chain\n    retrievers: [{{kind: corpus}}, {{kind: corpus, corpus: {other.pk}}}]\n"
    part = client.post(reverse("generation:run-estimate", args=[project.slug]), values | {"more": more})
    assert "searched by its vectors alone" in part.content.decode()
