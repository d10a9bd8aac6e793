"""Exports that are split into training and validation: one archive, and nothing related on both sides."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, Settings

from datasets import tasks
from datasets.filters import ConversationFilter
from datasets.formats import Options
from datasets.formats.splitting import Split
from datasets.models import Conversation, Document, Export, Persona, Project, SourceFile, User
from datasets.services.errors import Refused
from datasets.services.personas.saving import save_persona
from datasets.services.publishing import exports
from tests.api_program import Program, refusal
from tests.factories import make_conversation, make_corpus, make_dialog, make_source, make_trace

pytestmark = pytest.mark.django_db
Clients = Callable[[User], Client]


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path / "exports"


def url(project: Project, name: str, *args: Any) -> str:
    return reverse(f"datasets:{name}", args=[project.slug, *args])


def about(project: Project, question: str, document: int, text: str = "", score: float | None = None) -> Conversation:
    """A conversation that was written from a document; with a score the text was found, not reserved."""
    source = make_source(document=document, text=text or f"Text of {question}", score=score)
    return make_conversation(project, dialog=make_dialog(question, "Yes.", trace=make_trace(source)), status="approved")


def split_by(project: Project, split: Split, **wanted: Any) -> Export:
    export = exports.start_export(
        project=project, actor=None, filter=ConversationFilter(), options=Options(), format="messages", split=split,
        **wanted,
    )  # fmt: skip
    tasks.write_export(export.pk)
    export.refresh_from_db()
    return export


def sides(content: bytes) -> tuple[list[str], list[str]]:
    """The questions for training and for validation."""
    with ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["README.md", "train.jsonl", "validation.jsonl"]
        train, validation = (
            [json.loads(line)["messages"][0]["content"] for line in archive.read(name).splitlines()]
            for name in ("train.jsonl", "validation.jsonl")
        )
    return train, validation


def sides_of(export: Export) -> tuple[list[str], list[str]]:
    assert export.state == "ready", export.error
    with export.file.open("rb") as file:
        return sides(file.read())


def documents_of(questions: Sequence[str]) -> set[str]:
    return {question[0] for question in questions}


@pytest.fixture
def three_documents(project: Project) -> None:
    """Four conversations about each of three documents, called A, B and C."""
    for n in range(4):
        for number, name in enumerate("ABC", 1):
            about(project, f"{name}{n}?", number)


# -- what hangs together ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_conversations_about_one_document_are_on_one_side(project: Project, three_documents: None, seed: int) -> None:
    train, held = sides_of(split_by(project, Split(0.4, seed=seed)))
    assert (len(train), len(held)) == (8, 4)
    assert not documents_of(train) & documents_of(held)


def test_conversations_of_a_document_that_was_read_anew_still_hang_together(project: Project) -> None:
    about(project, "A?", 1, "The same text.")
    about(project, "B?", 9, "The same text.")
    about(project, "C?", 3)
    for seed in range(5):
        train, held = sides_of(split_by(project, Split(0.7, seed=seed)))
        assert sorted([sorted(train), sorted(held)]) == [["A?", "B?"], ["C?"]]


def test_texts_that_were_only_found_for_an_answer_tie_nothing(project: Project) -> None:
    for n in range(4):
        about(project, f"{n}?", 1, "Found.", score=0.5)
    train, held = sides_of(split_by(project, Split(0.5)))
    assert (len(train), len(held)) == (2, 2)


def test_passages_are_a_narrower_tie_than_documents_and_nothing_is_none(project: Project) -> None:
    for name in "ABCD":
        for n in range(2):
            about(project, f"{name}{n}?", 1, f"Passage {name}")
    assert split_by(project, Split(0.5)).error == exports.INSEPARABLE
    train, held = sides_of(split_by(project, Split(0.5, "passages")))
    assert (len(train), len(held)) == (4, 4)
    assert not documents_of(train) & documents_of(held)
    _, held = sides_of(split_by(project, Split(0.4, "nothing")))
    assert len(held) == 3


def test_personas_and_those_of_the_same_document_hang_together(project: Project, owner: User) -> None:
    corpus = make_corpus(project)
    file = SourceFile.objects.create(corpus=corpus, name="a.txt", size=1, sha256="0")
    document = Document.objects.create(corpus=corpus, source=file, title="A", text="a", characters=1, revision=1)
    about_them = {"description": "Works.", "features": {}, "author": owner}
    nurse, pilot, cook = (save_persona(project=project, name=name, **about_them) for name in ("Nurse", "Pilot", "Cook"))
    Persona.objects.filter(pk__in=[nurse.pk, pilot.pk]).update(document=document)
    for number, persona in enumerate((nurse, pilot, cook, cook)):
        row = about(project, f"{persona.name} {number}?", number + 1)
        Conversation.objects.filter(pk=row.pk).update(persona=persona)
    for seed in range(4):
        train, held = sides_of(split_by(project, Split(0.5, "personas", seed=seed)))
        assert sorted([sorted(train), sorted(held)]) == [["Cook 2?", "Cook 3?"], ["Nurse 0?", "Pilot 1?"]]


def test_imported_conversations_with_the_same_context_hang_together(project: Project) -> None:
    for n in range(6):
        about(project, f"{n % 2}{n}?", 0, f"Imported text {n % 2}")
    train, held = sides_of(split_by(project, Split(0.5)))
    assert (documents_of(train), documents_of(held)) in [({"0"}, {"1"}), ({"1"}, {"0"})]


# -- the file -----------------------------------------------------------------------------------------------------------


def test_the_same_seed_makes_the_same_archive_and_its_card_names_both_sides(
    project: Project, three_documents: None
) -> None:
    one, again = (split_by(project, Split(0.4, seed=3)) for _ in range(2))
    assert one.sha256 == again.sha256
    with one.file.open("rb") as file:
        content = file.read()
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (one.sha256, one.size)
    assert one.file_name == f"handbook-messages-{one.pk}.zip"
    assert (one.rows_written, one.rows_held, one.rows_to_train) == (12, 4, 8)
    with ZipFile(io.BytesIO(content)) as archive:
        card = archive.read("README.md").decode()
    front = yaml.safe_load(card.split("---")[1])
    assert front["configs"][0]["data_files"] == [
        {"split": "train", "path": "train.jsonl"},
        {"split": "validation", "path": "validation.jsonl"},
    ]
    assert "| validation | validation.jsonl | 4 |" in card
    assert "seed 3" in card


def test_without_shuffling_validation_takes_what_came_first_and_all_keep_their_order(
    project: Project, three_documents: None
) -> None:
    train, held = sides_of(split_by(project, Split(0.34, shuffle=False)))
    assert held == ["A0?", "A1?", "A2?", "A3?"]
    assert train[:4] == ["B0?", "C0?", "B1?", "C1?"]


def test_rows_that_the_format_cannot_hold_are_not_counted_into_the_share(project: Project) -> None:
    for n in range(10):
        about(project, f"{n}?", n + 1)
    make_conversation(project, "Unanswered?", status="approved")
    export = split_by(project, Split(0.2, shuffle=False))
    assert (export.rows, export.rows_written, export.rows_held, export.skipped) == (11, 10, 2, 1)


def test_one_row_is_not_split_and_rows_that_cannot_be_written_say_so(project: Project, folder: Path) -> None:
    make_conversation(project, "Unanswered?")
    with pytest.raises(Refused, match="cannot be on both sides"):
        split_by(project, Split(0.5))
    make_conversation(project, "Unanswered too?")
    assert "could hold none" in split_by(project, Split(0.5)).error
    assert list(folder.iterdir()) == []


def test_a_split_takes_one_more_query_a_chunk(
    project: Project, three_documents: None, monkeypatch: pytest.MonkeyPatch,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:  # fmt: skip
    monkeypatch.setattr(exports, "CHUNK", 4)
    export = exports.start_export(
        project=project, actor=None, filter=ConversationFilter(), format="messages", options=Options(), split=Split(0.4)
    )
    with django_assert_max_num_queries(24):
        tasks.write_export(export.pk)
    assert len(sides_of(Export.objects.get(pk=export.pk))[1]) == 4


# -- asked for ----------------------------------------------------------------------------------------------------------


def test_a_split_is_chosen_in_the_form_and_told_on_the_page(
    project: Project, teammate: User, client_of: Clients, three_documents: None
) -> None:
    client = client_of(teammate)
    chosen = {"format": "messages", "validation": "0.4", "together": "documents", "order": "kept", "seed": "9"}
    page = client.get(url(project, "export-new"), chosen).content.decode()
    assert '<span class="num">4</span> for validation' in page
    answer = client.post(url(project, "export-new"), chosen)
    export = Export.objects.get()
    assert export.split == {"validation": 0.4, "together": "documents", "shuffle": False, "seed": 9}
    tasks.write_export(export.pk)
    page = client.get(answer["Location"]).content.decode()
    for text in ("a share of 0.4 was wanted", "Rows about the same document are all on one side", ".zip"):
        assert text in page
    download = client.get(url(project, "export-download", export.pk))
    assert download["Content-Type"] == "application/zip"
    assert len(sides(b"".join(download.streaming_content))[1]) == 4


@pytest.mark.parametrize("validation", ["", "0"])
def test_without_a_share_there_is_one_file(
    project: Project, teammate: User, client_of: Clients, three_documents: None, validation: str
) -> None:
    client_of(teammate).post(url(project, "export-new"), {"format": "messages", "validation": validation})
    assert Export.objects.get().split is None


@pytest.mark.parametrize(
    "wrong", [{"validation": "1"}, {"validation": "-0.1"}, {"validation": "x"}, {"together": "x"}, {"seed": "x"}]
)
def test_a_split_that_cannot_be_is_refused_beside_its_field(
    project: Project, teammate: User, client_of: Clients, three_documents: None, wrong: dict[str, str]
) -> None:
    chosen = {"format": "messages", "validation": "0.1", **wrong}
    answer = client_of(teammate).post(url(project, "export-new"), chosen)
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == set(wrong)
    assert not Export.objects.exists()


def test_programs_ask_for_a_split_and_download_it(
    project: Project, teammate: User, annotator: User, stranger: User, three_documents: None
) -> None:
    program, path = Program.of(teammate), "/projects/handbook/exports"
    body = {"format": "messages", "split": {"validation": 0.4, "seed": 5}}
    made = program.post(path, body)
    assert made["split"] == {"validation": 0.4, "together": "documents", "shuffle": True, "seed": 5}
    tasks.write_export(made["id"])
    assert program.get(f"{path}/{made['id']}")["rows_held"] == 4
    download = program.call("GET", f"{path}/{made['id']}/file")
    assert download["Content-Type"] == "application/zip"
    assert len(sides(b"".join(download.streaming_content))[1]) == 4
    for share in (0, 1, "x"):
        assert "validation" in refusal(program.call("POST", path, {"split": {"validation": share}}), 422)
    refusal(Program.of(annotator).call("POST", path, body), 403)
    refusal(Program.of(stranger).call("POST", path, body), 404)
    refusal(Program.of(stranger).call("GET", f"{path}/{made['id']}/file"), 404)
