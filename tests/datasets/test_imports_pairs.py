"""Preference pairs that somebody brings along: read in every usual shape, kept as two versions, exported again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from datasets import tasks
from datasets.filters import ConversationFilter
from datasets.formats import Options, raw
from datasets.formats.entries import Wrong
from datasets.formats.incoming import read_row, shape_of
from datasets.formats.incoming_pairs import PAIRS
from datasets.models import Conversation, Export, Import, Origin, Project, User
from datasets.services.curating import imports
from datasets.services.curating.conversations import add_version
from datasets.services.errors import Refused
from datasets.services.publishing import exports
from tests.api_program import Program
from tests.factories import make_dialog

GOOD = "Because it is so. " * 12
ASKED = {"role": "user", "content": "Why?"}
YES, NO = {"role": "assistant", "content": "Yes."}, {"role": "assistant", "content": "No."}
DPO = {"prompt": "Why?", "chosen": "Because.", "rejected": "So."}
ORPO = {**DPO, "chosen_score": 0.9, "rejected_score": 0.4}


def spoken(text: str, shared: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{"role": "system", "content": "You explain."}, *shared, ASKED, {"role": "assistant", "content": text}]


def logged(*shared: dict[str, str]) -> dict[str, Any]:
    """A line of the library's own log, which cuts the answers that it lists after 100 characters."""
    before = list(shared)
    return {
        "prompt": "Why?",
        "chosen": {"content": GOOD, "score": 0.9, "variation_label": "temperature_0.10", "messages": spoken(GOOD, before)},
        "rejected": {"content": "So.", "score": 0.4, "variation_label": "temperature_0.90", "messages": spoken("So.", before)},
        "shared_prefix": before or None,
        "metadata": {
            "context_id": "doc-1",
            "context_ids": ["doc-1"],
            "persona": "A nurse",
            "instruction_context": "Pumps wear.",
            "response_context": "Pumps wear out.",
            "all_scores": [
                {"content": GOOD[:100], "score": 0.9, "label": "temperature_0.10"},
                {"content": "So.", "score": 0.4, "label": "temperature_0.90"},
            ],
        },
    }  # fmt: skip


def read(row: dict[str, Any]) -> Any:
    assert shape_of(row) == PAIRS
    return read_row(row, PAIRS)


def said(row: dict[str, Any]) -> tuple[list[tuple[str, str]], str, str]:
    """What was said before the answers, and both of them."""
    incoming = read(row)
    *before, chosen = incoming.dialog.messages
    return [(one.role, one.content) for one in before], chosen.content, incoming.others[0].dialog.messages[-1].content


# -- rows ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Why?", "chosen": "Yes.", "rejected": "No."},
        {"prompt": [ASKED], "chosen": [YES], "rejected": [NO]},
        {"prompt": [ASKED], "chosen": [ASKED, YES], "rejected": [ASKED, NO]},
        {"chosen": [ASKED, YES], "rejected": [ASKED, NO]},
        {"prompt": "Why?", "prompt_id": "7", "chosen": [ASKED, YES], "rejected": [ASKED, NO], "messages": [ASKED, YES]},
        {"messages": [ASKED], "chosen": YES, "rejected": NO},
        {
            "conversations": [{"from": "human", "value": "Why?"}],
            "chosen": {"from": "gpt", "value": "Yes."},
            "rejected": {"from": "gpt", "value": "No."},
        },
        {"instruction": "Why?", "input": "", "chosen": "Yes.", "rejected": "No."},
        {"input": {"messages": [ASKED], "tools": []}, "preferred_output": [YES], "non_preferred_output": [NO]},
        {"chosen": "Human: Why?\n\nAssistant: Yes.", "rejected": "Human: Why?\n\nAssistant: No."},
        {"chosen": "\n\nHuman: Why?\n\nAssistant: Yes.", "rejected": "\n\nHuman: Why?\n\nAssistant: No."},
        {
            "instruction": "Why?",
            "completions": [{"response": "Yes.", "score": 0.9, "label": "a"}, {"response": "No.", "score": 0.2}],
            "chosen": {"response": "Yes.", "score": 0.9},
            "rejected": {"response": "No.", "score": 0.2},
        },
    ],
)
def test_a_pair_is_read_in_every_usual_shape(row: dict[str, Any]) -> None:
    assert said(row) == ([("user", "Why?")], "Yes.", "No.")


def test_turns_before_the_answers_are_read_from_texts_and_from_history() -> None:
    turns = [("user", "Hi?"), ("assistant", "Hello."), ("user", "Why?")]
    text = "Human: Hi?\n\nAssistant: Hello.\n\nHuman: Why?"
    assert said({**DPO, "prompt": text})[0] == turns
    assert said({"instruction": "Why?", "history": [["Hi?", "Hello."]], "chosen": "A", "rejected": "B"})[0] == turns
    assert read({**DPO, "prompt": f"You explain.\n\n{text}"}).dialog.system_prompt == "You explain."
    assert said({**DPO, "prompt": "Human: Why?"})[0] == [("user", "Human: Why?")]


def test_a_line_of_the_librarys_log_keeps_labels_scores_contexts_persona_and_system_prompt() -> None:
    incoming = read(logged())
    dialog, other = incoming.dialog, incoming.others[0]
    assert (dialog.system_prompt, dialog.persona) == ("You explain.", "A nurse")
    assert [(one.label, one.judged.overall, one.judged.grade) for one in (incoming, other)] == [
        ("temperature_0.10", 0.9, ""),
        ("temperature_0.90", 0.4, "rejected"),
    ]
    written: Any = raw.row(dialog, Options())
    assert (written["instruction_context"], written["response_context"]) == ("Pumps wear.", "Pumps wear out.")
    assert written["metadata"] == logged()["metadata"]


def test_the_question_that_the_library_asks_twice_in_pairs_of_several_turns_is_asked_once() -> None:
    assert said(logged(ASKED))[0] == [("user", "Why?")]
    whole = [ASKED, ASKED, YES]
    assert said({"prompt": whole[:2], "chosen": whole, "rejected": [ASKED, ASKED, NO]})[0] == [("user", "Why?")]


def test_a_pair_without_scores_has_none_and_unusual_ones_are_only_kept_beside_it() -> None:
    plain, unusual = read(DPO), read({**DPO, "score_chosen": 9.5, "score_rejected": 2, "source": "web"})
    assert (plain.judged, plain.others[0].judged.overall, plain.label) == (None, None, "chosen")
    assert (unusual.judged, unusual.others[0].judged.overall) == (None, None)
    assert unusual.dialog.extra == {"row": {"set": {"score_chosen": 9.5, "score_rejected": 2, "source": "web"}}}


def test_further_answers_become_versions_unless_the_library_has_cut_them() -> None:
    answers = [("Yes.", 0.9), ("Maybe.", 0.6), ("No.", 0.2)]
    row = {
        "instruction": "Why?",
        "completions": [{"response": text, "score": score, "label": text} for text, score in answers],
        "chosen": {"response": "Yes.", "score": 0.9},
        "rejected": {"response": "No.", "score": 0.2},
    }
    assert [(one.label, one.judged.overall) for one in read(row).others] == [("No.", 0.2), ("Maybe.", 0.6)]
    cut = {**row, "completions": [{"response": GOOD[:100], "score": 0.9, "label": "temperature_0.10"}],
           "chosen": {"response": GOOD, "score": 0.9}}  # fmt: skip
    assert (read(cut).label, len(read(cut).others)) == ("temperature_0.10", 1)
    assert read(cut).dialog.extra == {"row": {"set": {"completions": cut["completions"]}}}


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({**DPO, "rejected": "Because."}, "no two different answers"),
        ({**DPO, "rejected": " "}, "rejected answer is empty"),
        ({**DPO, "chosen": None}, "neither texts nor messages"),
        ({"chosen": "Because.", "rejected": "So."}, "no question"),
        ({"prompt": [], "chosen": [], "rejected": []}, "no question"),
        ({**DPO, "prompt": {"a": 1}}, "neither a text nor a list"),
        ({"prompt": [ASKED], "chosen": [1], "rejected": [NO]}, "Message 1 is no object"),
        ({"preferred_output": 1, "non_preferred_output": 2}, "neither texts nor messages"),
        ({"chosen": [ASKED, YES], "rejected": [{"role": "user", "content": "How?"}, NO]}, "no two different answers"),
    ],
)
def test_a_row_that_is_no_pair_is_refused_in_a_sentence(row: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Wrong, match=sentence):
        read(row)


# -- imported -----------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


def file_of(*rows: Any) -> SimpleUploadedFile:
    return SimpleUploadedFile("pairs.jsonl", b"".join(json.dumps(row).encode() + b"\n" for row in rows))


def imported(project: Project, user: User, *rows: Any) -> Import:
    row = imports.start_import(row=imports.store_import(project=project, file=file_of(*rows), actor=user), actor=user)
    tasks.carry_on_import(row.pk)
    row.refresh_from_db()
    return row


def exported(project: Project, format: str, **options: Any) -> list[dict[str, Any]]:
    export = exports.start_export(
        project=project, actor=None, filter=ConversationFilter(), format=format, options=Options(**options)
    )
    exports.write_export(export_id=export.pk)
    export.refresh_from_db()
    assert export.state == Export.State.READY
    return [json.loads(line) for line in export.file.open("rb").read().decode().splitlines()]


@pytest.mark.django_db
def test_an_imported_pair_is_one_conversation_whose_head_is_the_chosen_answer(project: Project, owner: User) -> None:
    row = imported(project, owner, logged(), {"_analytics": {"total_valid": 1}})
    assert (row.state, row.rows, row.shape) == ("done", 1, PAIRS)
    assert "sums up the pairs" in row.problems[0][1]
    conversation = Conversation.objects.get()
    assert (conversation.head.messages[-1]["content"], conversation.score) == (GOOD, 0.9)
    versions = [(one.number, one.label, one.origin) for one in conversation.versions.all()]
    assert versions == [(1, "temperature_0.90", Origin.IMPORTED), (2, "temperature_0.10", Origin.IMPORTED)]
    assert conversation.versions.get(number=1).judgements.get().grade == "rejected"


@pytest.mark.django_db
@pytest.mark.parametrize("format", ["dpo", "chat_dpo", "orpo", "ultrafeedback", "anthropic_hh"])
def test_what_one_preference_format_writes_comes_back_as_it_was(project: Project, owner: User, format: str) -> None:
    turns = {**ORPO, "prompt": "Human: Hi?\n\nAssistant: Hello.\n\nHuman: How?"}
    imported(project, owner, ORPO, turns)
    first = exported(project, format, system_prompt=True)
    assert len(first) == 2
    Conversation.objects.all().delete()
    imported(project, owner, *first)
    assert exported(project, format, system_prompt=True) == first


@pytest.mark.django_db
def test_a_pair_without_scores_is_exported_again_whatever_the_gap(project: Project, owner: User) -> None:
    imported(project, owner, DPO, {**DPO, "prompt": "How?", "chosen_score": 0.5, "rejected_score": 0.5})
    assert exported(project, "dpo", min_gap=0.9) == [DPO, {**DPO, "prompt": "How?"}]
    assert exported(project, "orpo")[0] == {**DPO, "chosen_score": None, "rejected_score": None}
    assert exported(project, "messages")[0]["messages"][-1]["content"] == "Because."


@pytest.mark.django_db
def test_an_edited_answer_takes_the_place_of_the_chosen_one(project: Project, owner: User) -> None:
    imported(project, owner, ORPO)
    dialog = make_dialog("Why?", "Because I say so.", system_prompt="")
    add_version(conversation=Conversation.objects.get(), dialog=dialog, origin=Origin.EDITED, author=owner)
    assert exported(project, "dpo") == [{**DPO, "chosen": "Because I say so."}]


@pytest.mark.django_db
def test_a_question_edited_on_one_side_makes_the_pair_one_no_longer(project: Project, owner: User) -> None:
    imported(project, owner, ORPO)
    dialog = make_dialog("How come?", "Because.", system_prompt="")
    add_version(conversation=Conversation.objects.get(), dialog=dialog, origin=Origin.EDITED, author=owner)
    row = exports.row_of(exports._readable(Conversation.objects.all(), "dpo", Options()).get(), "dpo", Options())
    assert "no longer differs" in row.reason  # type: ignore[union-attr]


@pytest.mark.django_db
def test_the_page_shows_both_answers_before_anything_is_imported(project: Project, owner: User, client: Client) -> None:
    client.force_login(owner)
    answer = client.post(reverse("datasets:import-list", args=[project.slug]), {"file": file_of(ORPO)}, follow=True)
    page = answer.content.decode()
    for text in ("preference pairs", "Because.", "rejected answer, score 0.40", "So."):
        assert text in page


@pytest.mark.django_db
def test_a_program_imports_pairs(project: Project, owner: User) -> None:
    answer = Program.of(owner).upload(f"/projects/{project.slug}/imports", file=file_of(DPO))
    assert (answer.status_code, answer.json()["shape"]) == (201, PAIRS)


@pytest.mark.django_db
def test_a_file_whose_import_was_in_vain_can_be_imported_again(project: Project, owner: User) -> None:
    first = imported(project, owner, DPO)
    with pytest.raises(Refused, match="imported before"):
        imports.start_import(
            row=imports.store_import(project=project, file=file_of(DPO), actor=owner), actor=owner, again=False
        )
    Import.objects.filter(pk=first.pk).update(state=Import.State.FAILED, rows=0)
    row = imports.store_import(project=project, file=file_of(DPO), actor=owner)
    assert imports.start_import(row=row, actor=owner, again=False).is_active
