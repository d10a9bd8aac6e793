"""Runs that judge: by the built-in criteria, by the project's own and by embeddings, as their recipes say."""

from __future__ import annotations

from typing import Any

import pytest

from datasets.models import Corpus, Judgement, Project, User
from datasets.services.criteria import save_criterion
from datasets.services.errors import Refused
from generation.engine.recipe import ModelChoice
from generation.models import Endpoint, Run
from generation.services.servers.endpoints import save_endpoint
from tests.datasets.ingesting import add, read
from tests.factories import make_corpus, make_project
from tests.fixtures_model_server import RunningModelServer
from tests.generation.pulled import pulled
from tests.generation.runs import ROLES, launched

# A run is pulled in threads of its own, which see only what is committed.
pytestmark = pytest.mark.django_db(transaction=True)
PUMP = "The pump is serviced every seven weeks by whoever holds the green key.\n\n" * 3


@pytest.fixture
def server(project: Project, owner: User, model_server: RunningModelServer) -> Endpoint:
    fields = {"name": "Server", "preset": "custom", "base_url": model_server.base_url, "chat_model": "big"}
    return save_endpoint(project=project, user=owner, values=fields | {"embedding_model": "small"})


@pytest.fixture
def corpus(project: Project) -> Corpus:
    corpus = make_corpus(project)
    read(add(corpus, "pump.txt", PUMP))
    return corpus


def judged(project: Project, server: Endpoint, judge: Any, **changes: Any) -> Run:
    models = dict.fromkeys((*ROLES, "judge"), ModelChoice(endpoint=server.pk))
    fields = {"conversations": 3, "max_turns": 2, "models": models, "judge": judge}
    run = launched(project, endpoint=server, **(fields | changes))
    pulled(run)
    run.refresh_from_db()
    return run


def criteria_of(judgement: Judgement) -> dict[str, float | None]:
    return {score["criterion"]: score["value"] for score in judgement.scores}


def test_every_conversation_has_one_judgement_by_all_that_the_recipe_names(
    project: Project, server: Endpoint, corpus: Corpus, model_server: RunningModelServer
) -> None:
    tone = save_criterion(project=project, name="Tone", description="Warm and brief.", weight=3)
    judge = {
        "weights": {"helpfulness": 1, "coherence": 1, "relevance": 1, "vector_grounding": 1},
        "criteria": [tone.pk],
        "aggregation": "weighted",
        "embedding": {"endpoint": server.pk},
    }
    grounded = {"corpus": corpus.pk, "retrieval": {"when": "never", "with_context": True}}
    run = judged(project, server, judge, **grounded)
    assert (run.state, run.slots_done) == ("done", 3)
    rows = list(Judgement.objects.filter(version__conversation__project=project))
    assert len(rows) == 3
    for row in rows:
        scores = criteria_of(row)
        assert list(scores) == ["helpfulness", "Tone", "coherence", "relevance", "vector_grounding"]
        assert None not in scores.values()
        weighed = sum((3 if name == "Tone" else 1) * (value or 0) for name, value in scores.items()) / 7
        assert row.overall == pytest.approx(weighed)
        assert (row.evaluator, row.model, row.error) == ("judge", "big, small", "")
        assert row.grade
        assert row.version.conversation.score == row.overall
    assert any("Warm and brief." in str(one["body"]) for one in model_server.requests() if "messages" in one["body"])


def test_a_run_keeps_the_criterion_that_it_was_launched_with(
    project: Project, server: Endpoint, model_server: RunningModelServer
) -> None:
    tone = save_criterion(project=project, name="Tone", description="Warm and brief.")
    models = dict.fromkeys((*ROLES, "judge"), ModelChoice(endpoint=server.pk))
    judge = {"weights": {}, "criteria": [tone.pk]}
    run = launched(project, endpoint=server, conversations=1, max_turns=1, models=models, judge=judge)
    save_criterion(project=project, criterion=tone, name="Manner", description="Cold.")
    pulled(run)
    assert list(criteria_of(Judgement.objects.get())) == ["Tone"]


def test_where_there_are_no_passages_grounding_does_not_apply(project: Project, server: Endpoint) -> None:
    judged(project, server, True, conversations=1)
    scores = criteria_of(Judgement.objects.get())
    assert scores.pop("grounding") is None
    assert Judgement.objects.get().overall == pytest.approx(sum(value or 0 for value in scores.values()) / 2)


def test_embeddings_that_are_refused_fail_the_judgement_and_not_the_conversation(
    project: Project, server: Endpoint, model_server: RunningModelServer
) -> None:
    long = {"kind": "status", "status": 400, "path": "/v1/embeddings", "message": "Too many tokens: 512 at most."}
    model_server.control(faults=[long])
    judge = {"weights": {"helpfulness": 1, "coherence": 1}, "embedding": {"endpoint": server.pk}}
    run = judged(project, server, judge, conversations=1, max_turns=1)
    assert (run.state, run.slots_done) == ("done", 1)
    row = Judgement.objects.get()
    assert (row.overall, row.grade, list(criteria_of(row))) == (None, "", ["helpfulness"])
    assert row.error.startswith("vector judge: ")
    assert "512 at most" in row.error
    assert row.version.conversation.score is None


def test_the_offline_model_judges_and_names_what_is_weak(project: Project, corpus: Corpus) -> None:
    offline = project.endpoints.get(preset="offline")
    tone = save_criterion(project=project, name="Zitierweise (§)", description="Nennt die Stelle.")
    judge = {"weights": {"grounding": 1}, "criteria": [tone.pk]}
    grounded = {"corpus": corpus.pk, "retrieval": {"when": "never", "with_context": True}}
    judged(project, offline, judge, **grounded, conversations=2)
    for row in Judgement.objects.all():
        assert list(criteria_of(row)) == ["grounding", "Zitierweise (§)"]
        assert row.error == ""
        assert row.feedback.startswith("Counted offline")


def test_criteria_and_embeddings_of_other_projects_are_refused(
    project: Project, server: Endpoint, stranger: User
) -> None:
    other = make_project(stranger)
    foreign = save_criterion(project=other, name="Tone", description="Warm.")
    with pytest.raises(Refused, match="criteria is not in this project"):
        judged(project, server, {"weights": {}, "criteria": [foreign.pk]})
    theirs = save_endpoint(
        project=other, user=stranger, values={"name": "S", "preset": "custom", "base_url": server.base_url}
    )
    with pytest.raises(Refused, match="embedding model"):
        judged(project, server, {"weights": {"coherence": 1}, "embedding": {"endpoint": theirs.pk, "model": "m"}})
