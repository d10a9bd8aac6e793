"""Preference formats: the better and the worse answer to the same question, from the versions of a conversation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from datasets.filters import ConversationFilter
from datasets.formats import FORMATS, PREFERENCES, Options, Rated, Skip
from datasets.models import Conversation, Export, Judgement, Project, User
from datasets.schema import Dialog, Message, ToolCall
from datasets.services.curating.versions import Proposed, add_proposals, locked
from datasets.services.publishing import exports
from tests.factories import make_conversation, make_dialog, make_project

FEW = Options()
SYSTEM = Options(system_prompt=True)


def rated(*said: str, score: float, label: str = "", **fields: Any) -> Rated:
    return Rated(make_dialog(*said, **fields), score, label)


TWO = [rated("Why?", "So.", score=0.4, label="degraded"), rated("Why?", "Because.", score=0.9, label="enhanced")]
LATER = [
    rated("Hi?", "Hello.", "Why?", "So.", score=0.4, label="temperature_0.90"),
    rated("Hi?", "Hello.", "Why?", "Because.", score=0.9, label="temperature_0.10"),
    rated("Hi?", "Hello.", "Why?", "Maybe.", score=0.6, label="temperature_0.50"),
]


def row(name: str, versions: list[Rated], options: Options = FEW) -> Any:
    compare = FORMATS[name].compare
    assert compare is not None
    return compare(versions, options)


# -- shapes -------------------------------------------------------------------------------------------------------------


def test_dpo_is_three_texts() -> None:
    assert row("dpo", TWO) == {"prompt": "Why?", "chosen": "Because.", "rejected": "So."}
    assert row("dpo", TWO, SYSTEM)["prompt"] == "You are a helpful expert.\n\nWhy?"
    assert row("dpo", LATER)["prompt"] == "Human: Hi?\n\nAssistant: Hello.\n\nHuman: Why?"


def test_orpo_is_dpo_with_scores() -> None:
    assert row("orpo", TWO) == {
        "prompt": "Why?", "chosen": "Because.", "rejected": "So.", "chosen_score": 0.9, "rejected_score": 0.4,
    }  # fmt: skip


def test_chat_dpo_is_messages_with_the_prefix_once() -> None:
    assert row("chat_dpo", LATER, SYSTEM) == {
        "prompt": [
            {"role": "system", "content": "You are a helpful expert."},
            {"role": "user", "content": "Hi?"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "Why?"},
        ],
        "chosen": [{"role": "assistant", "content": "Because."}],
        "rejected": [{"role": "assistant", "content": "So."}],
    }
    assert row("chat_dpo", TWO)["prompt"] == [{"role": "user", "content": "Why?"}]


def test_ultrafeedback_has_every_answer_in_full() -> None:
    long = "Because it is so. " * 50
    versions = [*TWO, rated("Why?", long.strip(), score=0.7, label="temperature_0.40")]
    assert row("ultrafeedback", versions) == {
        "instruction": "Why?",
        "completions": [
            {"response": "Because.", "score": 0.9, "label": "enhanced"},
            {"response": long.strip(), "score": 0.7, "label": "temperature_0.40"},
            {"response": "So.", "score": 0.4, "label": "degraded"},
        ],
        "chosen": {"response": "Because.", "score": 0.9},
        "rejected": {"response": "So.", "score": 0.4},
    }


def test_anthropic_hh_is_two_conversations_alike_up_to_the_last_answer() -> None:
    pair = row("anthropic_hh", LATER)
    assert pair["chosen"] == "\n\nHuman: Hi?\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant: Because."
    assert pair["rejected"] == "\n\nHuman: Hi?\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant: So."
    assert row("anthropic_hh", TWO, SYSTEM)["chosen"].startswith("You are a helpful expert.\n\nHuman: Why?")


# -- which versions make a pair -----------------------------------------------------------------------------------------


def test_an_improved_dialog_is_compared_at_the_answer_where_it_parts() -> None:
    versions = [
        rated("Hi?", "Hello.", "Why?", "So.", "And?", "Nothing.", score=0.3),
        rated("Hi?", "Hello.", "Why?", "Because.", "Really?", "Yes.", score=0.8),
    ]
    assert row("dpo", versions) == {
        "prompt": "Human: Hi?\n\nAssistant: Hello.\n\nHuman: Why?", "chosen": "Because.", "rejected": "So.",
    }  # fmt: skip


def test_a_version_with_another_question_is_passed_over_for_one_that_shares_it() -> None:
    edited = rated("Why not?", "No.", score=0.1)
    assert row("dpo", [edited, *TWO])["rejected"] == "So."


@pytest.mark.parametrize(
    ("versions", "reason"),
    [
        (TWO[:1], "Fewer than two"),
        ([rated("Why?", "So.", score=0.5), rated("Why?", "Because.", score=0.55)], "closer than the smallest gap"),
        ([rated("Why?", "So.", score=0.5), rated("Why?", "Because.", score=0.5)], "closer than the smallest gap"),
        ([rated("Why?", "So.", score=0.1), rated("How?", "So.", score=0.9)], "same question"),
        ([rated("Why?", "So.", score=0.1), rated("Why?", "So. ", score=0.9)], "same question"),
        ([TWO[0], rated("Why?", "Because.", score=0.9, system_prompt="Another.")], "same question"),
        ([rated("Why?", "So.", score=0.1), rated("Why?", "So.", "More?", "No.", score=0.9)], "same question"),
        ([rated("Why?", " ", score=0.1), TWO[1]], "empty"),
    ],
)
def test_what_makes_no_pair_is_left_out_with_a_reason(versions: list[Rated], reason: str) -> None:
    for name in PREFERENCES:
        skipped = row(name, versions)
        assert isinstance(skipped, Skip)
        assert reason in skipped.reason


def test_the_gap_is_the_exporters_choice_and_a_hair_of_rounding_does_not_matter() -> None:
    versions = [rated("Why?", "So.", score=0.8), rated("Why?", "Because.", score=0.9)]
    assert row("dpo", versions, Options(min_gap=0.1))["chosen"] == "Because."
    assert isinstance(row("dpo", versions, Options(min_gap=0.2)), Skip)


def test_calls_of_functions_have_no_place_here() -> None:
    call = ToolCall(id="1", name="look", arguments={})
    before = (
        Message(role="user", content="Why?"),
        Message(role="assistant", content="", tool_calls=(call,)),
        Message(role="tool", content="{}", tool_call_id="1"),
        Message(role="assistant", content="Wait."),
        Message(role="user", content="So?"),
    )
    versions = [
        Rated(Dialog(messages=(*before, Message(role="assistant", content=text))), score)
        for text, score in (("So.", 0.1), ("Because.", 0.9))
    ]
    for name in PREFERENCES:
        assert "functions" in row(name, versions).reason


# -- files --------------------------------------------------------------------------------------------------------------


@transaction.atomic
def judged_versions(project: Project, *scores: float | None) -> Conversation:
    """A conversation with a version, of an answer of its own, for each score."""
    row = make_conversation(project, "Why?", "Answer 0.", status="approved")
    locked([row.pk])
    versions = [row.head]
    for number in range(1, len(scores)):
        dialog = make_dialog("Why?", f"Answer {number}.")
        versions += add_proposals([Proposed(row.pk, row.head_id, dialog, "alternative", f"way {number}")])
    for version, score in zip(versions, scores, strict=True):
        Judgement.objects.create(version=version, evaluator="judge", model="m", overall=score)
    return row


def written(project: Project, format: str, options: Options = FEW) -> tuple[Export, list[dict[str, Any]]]:
    export = exports.start_export(
        project=project, actor=None, filter=ConversationFilter(status="approved"), format=format, options=options
    )
    exports.write_export(export_id=export.pk)
    export.refresh_from_db()
    return export, [json.loads(line) for line in export.file.open("rb").read().splitlines()] if export.file else []


@pytest.mark.django_db(transaction=True)
def test_an_export_has_a_row_for_each_pair_and_knows_before_how_many(project: Project) -> None:
    judged_versions(project, 0.4, 0.9)
    judged_versions(project, 0.4, 0.45)
    judged_versions(project, 0.4)
    judged_versions(project, 0.4, None)
    judged_versions(project, 0.9, 0.2, 0.5)
    other = make_project()
    judged_versions(other, 0.1, 0.9)
    export, rows = written(project, "orpo")
    assert (export.rows, export.rows_written, export.skipped) == (2, 2, 0)
    assert [(one["chosen_score"], one["rejected_score"]) for one in rows] == [(0.9, 0.4), (0.9, 0.2)]
    assert written(project, "dpo", Options(min_gap=0.0))[0].rows == 3


@pytest.mark.django_db
def test_the_latest_judgement_of_a_version_counts(project: Project) -> None:
    row = judged_versions(project, 0.4, 0.9)
    Judgement.objects.create(version=row.head, evaluator="judge", model="m", overall=0.85)
    Judgement.objects.create(version=row.head, evaluator="judge", model="m", overall=None, error="No JSON.")
    chosen = {"project": project, "filter": ConversationFilter(), "format": "orpo"}
    assert exports.count_rows(**chosen, options=FEW) == 0
    assert exports.preview(**chosen, options=Options(min_gap=0.05))["rejected_score"] == 0.85  # type: ignore[index]


@pytest.mark.django_db
def test_metadata_says_which_conversation_a_pair_is_of(project: Project) -> None:
    row = judged_versions(project, 0.4, 0.9)
    shown = exports.preview(
        project=project, filter=ConversationFilter(), format="chat_dpo", options=Options(metadata=True)
    )
    assert shown is not None
    assert shown["metadata"]["id"] == row.pk


@pytest.mark.django_db
def test_the_form_counts_the_pairs_and_shows_one(project: Project, teammate: User, client_of: Any) -> None:
    judged_versions(project, 0.4, 0.9)
    judged_versions(project, 0.5)
    client: Client = client_of(teammate)
    page = client.get(reverse("datasets:export-new", args=[project.slug]), {"format": "dpo"})
    assert page.context["count"] == 1
    assert '"chosen": "Answer 1."' in page.content.decode().replace("&quot;", '"')
    wide = client.get(reverse("datasets:export-new", args=[project.slug]), {"format": "dpo", "min_gap": "0.6"})
    assert wide.context["count"] == 0


@pytest.mark.django_db
def test_without_a_pair_the_form_says_what_to_do(project: Project, teammate: User, client_of: Any) -> None:
    judged_versions(project, 0.5, 0.52)
    client: Client = client_of(teammate)
    form = reverse("datasets:export-new", args=[project.slug])
    assert "choose another status, a smaller gap" in client.get(form, {"format": "dpo"}).content.decode()
    refused = client.post(form, {"format": "dpo", "status": "approved"})
    assert refused.status_code == 422
    assert "scored that far apart" in refused.context["form"].non_field_errors()[0]
