"""The queue, the passages or the model of an embedding are lost in the middle of a run."""

from __future__ import annotations

import asyncio

import pytest
from django.conf import settings
from django.urls import reverse

from datasets import pulse
from datasets.index import PassageIndex, connect
from datasets.models import Conversation, Corpus, Document, Passage, SourceFile
from datasets.services.collecting import corpora
from datasets.services.collecting.search import LOST
from generation.models import CorpusEmbedding, Run
from tests.datasets.ingesting import read
from tests.faults.stage import Stage, assert_whole, landed, state_of, wait_for, wait_for_state
from tests.workers import Worker


def test_the_queue_may_lose_everything(stage: Stage, steady_worker: Worker) -> None:
    stage.server.control(latency=0.1)
    run = stage.launch(conversations=30, concurrency=4)
    wait_for(lambda: len(landed(run)) >= 2, within=15, what="that two conversations land")

    pulse.board().flushdb()

    wait_for_state(run, "done", within=40)
    assert_whole(run)
    another = stage.launch(conversations=4)
    wait_for_state(another, "done", within=20)


def test_passages_that_are_deleted_in_the_middle_of_a_run_give_way_to_others(
    stage: Stage, steady_worker: Worker
) -> None:
    corpus = stage.add_corpus()
    stage.server.control(latency=0.1)
    run = stage.launch(corpus=corpus.pk, retrieval={"when": "answer"}, conversations=30, concurrency=4)
    wait_for(lambda: len(landed(run)) >= 2, within=20, what="that two conversations land")

    for source in corpus.files.all()[:4]:
        corpora.delete_file(source=source, user=stage.user)
        with pytest.raises(SourceFile.DoesNotExist):
            read(source)
    left = set(Passage.objects.filter(corpus=corpus).values_list("document", flat=True))
    assert 0 < len(left) == Document.objects.filter(corpus=corpus).count() == 2

    wait_for_state(run, "done")
    assert_whole(run)
    last = Conversation.objects.filter(batch=run.batch_id).latest("pk").head.trace["steps"]
    assert {source["document"] for step in last for source in step.get("sources", [])} <= left


def test_a_corpus_without_passages_fails_the_conversations_and_says_why(stage: Stage, steady_worker: Worker) -> None:
    corpus = stage.add_corpus()
    stage.server.control(latency=0.1)
    run = stage.launch(corpus=corpus.pk, retrieval={"when": "answer"}, conversations=100, concurrency=4)
    wait_for(lambda: len(landed(run)) >= 2, within=20, what="that two conversations land")

    Passage.objects.filter(corpus=corpus).delete()

    wait_for(lambda: state_of(run) == Run.State.STOPPED, within=30, what="that the run stops")
    assert "its passages may have been deleted" in run.reason


def test_a_lost_index_is_called_so_and_made_anew_by_reading_again(stage: Stage, steady_worker: Worker) -> None:
    corpus = stage.add_corpus()
    address = reverse("datasets:corpus-search", args=[stage.project.slug, corpus.pk])
    assert "Pump number" in stage.browser.get(address, {"q": "pump"}).content.decode()

    asyncio.run(_drop_index(corpus))

    assert LOST in stage.browser.get(address, {"q": "pump"}).content.decode()
    run = stage.launch(corpus=corpus.pk, retrieval={"when": "answer"}, conversations=40, concurrency=8)
    wait_for(lambda: state_of(run) == Run.State.STOPPED, within=40, what="that the run stops")
    assert LOST in run.reason

    corpora.reread_corpus(corpus=corpus, user=stage.user)
    for source in corpus.files.all():
        read(source)
    assert "Pump number" in stage.browser.get(address, {"q": "pump"}).content.decode()


async def _drop_index(corpus: Corpus) -> None:
    async with connect(settings.QDRANT_URL, settings.QDRANT_API_KEY) as client:
        await PassageIndex(client, corpus.collection).drop()


def test_an_embedding_endpoint_that_stumbles_is_waited_for_and_one_that_refuses_stops_the_run(
    stage: Stage, steady_worker: Worker
) -> None:
    CorpusEmbedding.objects.create(
        corpus=(corpus := stage.add_corpus()), endpoint=stage.endpoint, model="test-embedding"
    )
    for source in corpus.files.all():
        corpora.reread_file(source=source, user=None)
        read(source)
    stage.server.control(faults=[{"kind": "status", "status": 503, "path": "/embeddings", "count": 3}])
    run = stage.launch(corpus=corpus.pk, retrieval={"when": "answer"}, conversations=6, concurrency=3)
    wait_for_state(run, "done")
    assert_whole(run)

    stage.server.control(faults=[{"kind": "status", "status": 401, "path": "/embeddings", "message": "No such key."}])
    refused = stage.launch(corpus=corpus.pk, retrieval={"when": "answer"}, conversations=6, concurrency=3)

    wait_for(lambda: state_of(refused) == Run.State.FAILED, within=10, what="that the run fails")
    assert "No such key." in refused.reason
    assert "embedding" in refused.reason
