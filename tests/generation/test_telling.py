"""What a run's page tells of its recipe."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from datasets.models import Project, User
from generation.frozen import Frozen
from generation.presenters.telling import told
from generation.services.running.freezing import freeze
from tests.generation.api_recipes import passages_of
from tests.generation.runs import launched, recipe

pytestmark = pytest.mark.django_db

ROLES = ("instruction", "correspondent", "respondent", "judge")


def models(project: Project) -> dict[str, dict[str, int]]:
    return {role: {"endpoint": project.endpoints.get(preset="offline").pk} for role in ROLES}


def said(project: Project, **changes: object) -> dict[str, str]:
    spec = recipe(project, models=models(project), **changes)
    frozen: Frozen = freeze(project=project, spec=spec)
    return dict(told(spec, frozen))


def test_nothing_is_told_of_what_a_recipe_leaves_out(project: Project) -> None:
    assert said(project, questions={}) == {"Retrieval": "never"}


def test_every_part_is_told_in_words(project: Project) -> None:
    corpus = passages_of(project, 3)
    retriever = {
        "kind": "ensemble",
        "members": [
            {"retriever": {"kind": "corpus"}},
            {"retriever": {"kind": "text", "text": "T", "title": "House rules"}},
        ],
    }
    assert said(
        project,
        corpus=corpus,
        contexts=2,
        questions={"batch": 3, "visits": 2, "scenarios": ["At night."], "distinct": False},
        retrieval={"when": "dialog", "depth": 5, "retriever": retriever},
        judge={"weights": {"helpfulness": 1, "grounding": 2}, "aggregation": "min"},
        product={"kind": "pairs", "answers": 3},
        stopping=[
            {"kind": "error_rate", "rate": 0.25},
            {"kind": "all", "rules": [{"kind": "coverage", "visits": 2}, {"kind": "spending", "prompt_tokens": 5000}]},
        ],
    ) == {
        "Questions": "from 2 passages each; 3 a call; each passage 2 times; in 1 situation; near-duplicates are welcome",
        "Retrieval": "once a conversation, 5 passages, from the corpus and “House rules” at once",
        "Judged by": "helpfulness, grounding; overall: the lowest",
        "Pairs": "3 answers, by temperature, at least 0.1 apart",
        "Stops when": "25% of the last 50 conversations failed; or all of "
        "(100% of the passages were asked about, 2 times each; 5,000 prompt tokens are spent).",
    }


def test_retrievers_are_told_in_the_order_in_which_they_are_asked(project: Project) -> None:
    text = {"kind": "text", "text": "T", "title": "House rules"}
    both = {"kind": "ensemble", "members": [{"retriever": {"kind": "corpus"}}, {"retriever": text}]}
    chain = {"kind": "chain", "retrievers": [both, {**text, "title": "Notes"}]}
    told = said(project, corpus=passages_of(project, 3), retrieval={"when": "answer", "depth": 5, "retriever": chain})
    assert told["Retrieval"].endswith("from (the corpus and “House rules” at once), then “Notes”")


def test_what_stands_inside_another_rule_is_told_apart_from_what_stands_beside_it(project: Project) -> None:
    either = {"kind": "any", "rules": [{"kind": "coverage", "share": 0.5}, {"kind": "conversations", "number": 1200}]}
    spending = {"kind": "spending", "completion_tokens": 9000, "money": "2.50"}
    told = said(project, corpus=passages_of(project, 3), stopping=[{"kind": "all", "rules": [either, spending]}])
    assert told["Stops when"] == (
        "all of (one of (50% of the passages were asked about, once each; 1,200 conversations were made); "
        "9,000 reply tokens are spent or the money limit of 2.50 is reached)."
    )


def test_improving_is_told_where_it_is_done(project: Project) -> None:
    assert said(project, judge=True, improve={"attempts": 1, "below": 0.5})["Improved"] == "once, below a score of 0.5"
    spec = recipe(project, models=models(project), judge=True, improve={}, product={"kind": "pairs"})
    frozen = freeze(project=project, spec=spec.model_copy(update={"improve": None}))
    assert "Improved" not in dict(told(spec, frozen))


def test_the_page_of_a_run_tells_it(project: Project, owner: User, client: Client) -> None:
    run = launched(project, models=models(project), judge=True, improve={"attempts": 3})
    client.force_login(owner)
    page = client.get(reverse("generation:run-detail", args=[project.slug, run.pk])).content.decode()
    assert "up to 3 times, below a score of 0.72" in page
