"""What judges said, as reviewers see it: scores, grade, what is to be mended, or why there is no score."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets.models import Conversation, Judgement, Origin, Project, User
from datasets.services.curating.conversations import add_version
from tests.api_program import Program
from tests.factories import make_conversation, make_dialog

pytestmark = pytest.mark.django_db
SCORES = [
    {"criterion": "factuality", "value": 0.25, "feedback": "Ten is wrong."},
    {"criterion": "vector_grounding", "value": None, "feedback": "No passages were given to the assistant."},
    {"criterion": "GDPR <b>tone</b>", "value": 0.5, "feedback": "<i>Cold</i>"},
]


@pytest.fixture
def reader(annotator: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(annotator)


@pytest.fixture
def row(project: Project) -> Conversation:
    return make_conversation(project, "How?", "So.", "And then?", "Thus.", score=0.375)


def judge(row: Conversation, **fields: Any) -> Judgement:
    said = {"evaluator": "judge", "model": "judge-1", "overall": 0.375, "grade": "needs_improvement", "scores": SCORES}
    return Judgement.objects.create(**{"version": row.head, **said, **fields})


def page_of(client: Client, row: Conversation, **query: str) -> str:
    return client.get(reverse("datasets:conversation-detail", args=[row.project.slug, row.pk]), query).content.decode()


def test_every_criterion_shows_its_score_as_a_bar_or_that_it_does_not_apply(row: Conversation, reader: Client) -> None:
    judge(row)
    page = page_of(reader, row)
    for text in ("Factuality", "0.25", "Ten is wrong.", "Vector grounding", "does not apply", "No passages were given"):
        assert text in page
    assert 'aria-label="Factuality"' in page
    assert 'aria-valuenow="25"' in page
    assert 'aria-label="Vector grounding"' not in page


def test_the_grade_stands_beside_the_overall_score_in_words_and_in_colour(row: Conversation, reader: Client) -> None:
    judge(row)
    page = page_of(reader, row)
    assert '<span class="badge flagged">Needs improvement</span>' in page
    assert "0.38" in page


def test_what_is_to_be_mended_leads_to_the_answer(row: Conversation, reader: Client) -> None:
    judge(row, feedback="Say what to hold.\nAnd how long.", first_bad=3)
    page = page_of(reader, row)
    assert '<a href="#turn-2">answer 2</a>' in page
    assert "Say what to hold.<br>And how long." in page


def test_a_number_of_no_message_leads_nowhere(row: Conversation, reader: Client) -> None:
    judge(row, feedback="Hm.", first_bad=99)
    assert "To mend" not in page_of(reader, row)


def test_a_judge_that_failed_is_said_to_have_failed_with_what_the_others_said(
    row: Conversation, reader: Client
) -> None:
    error = "vector judge: The server is <away>."
    judge(row, overall=None, grade="", scores=SCORES[:1], error=error)
    page = page_of(reader, row)
    assert "No overall score, because the judge failed: vector judge: The server is &lt;away&gt;." in page
    assert "Factuality" in page
    assert "Needs improvement" not in page
    row.score = None
    row.save()
    listed = reader.get(reverse("datasets:conversation-list", args=[row.project.slug])).content.decode()
    assert 'title="The judge failed: vector judge: The server is &lt;away&gt;.">failed</span>' in listed


def test_a_judge_to_whom_nothing_applies_says_so(row: Conversation, reader: Client) -> None:
    judge(row, overall=None, grade="", scores=SCORES[1:2])
    assert "No criterion applies to this conversation." in page_of(reader, row)


def test_what_judges_wrote_is_only_text(row: Conversation, reader: Client) -> None:
    judge(row, feedback="<script>alert(1)</script>")
    page = page_of(reader, row)
    for hostile in ("<b>tone</b>", "<i>Cold</i>", "<script>alert"):
        assert hostile not in page


def test_each_version_shows_its_own_judgement(row: Conversation, owner: User, reader: Client) -> None:
    judge(row, grade="bad")
    version = add_version(conversation=row, dialog=make_dialog("How?", "Better."), origin=Origin.EDITED, author=owner)
    row.refresh_from_db()
    judge(row, version=version, grade="perfect")
    assert ">Perfect</span>" in page_of(reader, row)
    old = page_of(reader, row, version="1")
    assert ">Bad</span>" in old
    assert ">Perfect</span>" not in old


@pytest.mark.parametrize(
    ("grade", "colour", "word"),
    [("good", "done", "Good"), ("not_acceptable", "failed", "Not acceptable"), ("bad", "failed", "Bad")],
)
def test_the_list_colours_scores_by_the_grade_of_the_head(
    grade: str, colour: str, word: str, row: Conversation, project: Project, reader: Client
) -> None:
    judge(row, grade="perfect")
    judge(row, grade=grade)
    unjudged = make_conversation(project, score=0.9)
    page = reader.get(reverse("datasets:conversation-list", args=[project.slug])).content.decode()
    assert f'<span class="badge {colour}" title="{word}">0.38</span>' in page
    assert 'title="Perfect"' not in page
    assert unjudged.score == 0.9
    assert ">0.90</td>" in page


def test_programs_read_grade_feedback_and_where_to_mend(row: Conversation, annotator: User) -> None:
    judge(row, feedback="Say more.", first_bad=3)
    address = f"/projects/{row.project.slug}/conversations/{row.pk}"
    [said] = Program.of(annotator).get(address)["judgements"]
    assert (said["grade"], said["first_bad"], said["feedback"]) == ("needs_improvement", 3, "Say more.")
    assert said["scores"][1]["value"] is None
