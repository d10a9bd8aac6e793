"""Files of conversations: uploaded, looked at, confirmed, and read by a worker."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from datasets import tasks
from datasets.filters import ConversationFilter
from datasets.formats import Options
from datasets.models import Batch, Conversation, Export, Import, Judgement, Origin, Project, User
from datasets.services.curating import imports
from datasets.services.curating.conversations import add_version
from datasets.services.errors import Refused
from datasets.services.publishing import exports
from tests.api_program import Program
from tests.factories import make_project

from .test_imports_rows import FULL, STRUCTURED

pytestmark = pytest.mark.django_db
Clients = Callable[[User], Client]


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path / "imports"


@pytest.fixture
def curator(teammate: User, client_of: Clients) -> Client:
    return client_of(teammate)


def url(project: Project, name: str, *args: Any) -> str:
    return reverse(f"datasets:{name}", args=[project.slug, *args])


def messages_row(number: int = 1) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": f"Question {number}?"},
            {"role": "assistant", "content": f"Answer {number}."},
        ]
    }


def file_of(*rows: Any, name: str = "talks.jsonl") -> SimpleUploadedFile:
    """Each row as a line; what is bytes already, as it is."""
    said = (row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)
    return SimpleUploadedFile(name, b"".join(said))


def stored(project: Project, user: User, *rows: Any) -> Import:
    return imports.store_import(project=project, file=file_of(*rows), actor=user)


def imported(project: Project, user: User, *rows: Any) -> Import:
    row = imports.start_import(row=stored(project, user, *rows), actor=user)
    tasks.carry_on_import(row.pk)
    row.refresh_from_db()
    return row


def exported(project: Project, format: str = "raw", **options: bool) -> list[dict[str, Any]]:
    export = exports.start_export(
        project=project, actor=None, filter=ConversationFilter(), format=format, options=Options(**options)
    )
    exports.write_export(export_id=export.pk)
    export.refresh_from_db()
    assert export.state == Export.State.READY
    return [json.loads(line) for line in export.file.open("rb").read().decode().splitlines()]


# -- in a browser -------------------------------------------------------------------------------------------------------


def test_a_file_is_looked_at_confirmed_and_becomes_conversations(
    project: Project,
    teammate: User,
    curator: Client,
    folder: Path,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(tasks.carry_on_import, "delay", sent.append)
    answer = curator.post(url(project, "import-list"), {"file": file_of(FULL, b"{oops\n", FULL)})
    row = Import.objects.get()
    assert answer["Location"] == url(project, "import-detail", row.pk)
    page = curator.get(answer["Location"]).content.decode()
    for text in ("AfterImage rows", "How do I reset it?", "score 0.86", "They want to reset it.", "line 2", "not JSON"):
        assert text in page
    assert not Conversation.objects.exists()

    with django_capture_on_commit_callbacks(execute=True):
        curator.post(url(project, "import-start", row.pk))
    assert sent == [row.pk]
    assert 'hx-trigger="every 1s"' in curator.get(answer["Location"]).content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        tasks.carry_on_import(row.pk)
    row.refresh_from_db()
    assert (row.state, row.rows, row.lines, row.problem_count, row.percent) == ("done", 2, 3, 1, 100)
    assert row.batch is not None
    assert (row.batch.kind, row.batch.name) == (Batch.Kind.IMPORT, "talks.jsonl")
    page = curator.get(answer["Location"]).content.decode()
    assert "1 line left out" in page
    assert 'hx-trigger="every 1s"' not in page
    assert f"?batch={row.batch_id}" in page
    assert list(folder.iterdir()) == []
    assert project.activities.filter(text__contains="imported conversations from talks.jsonl", actor=teammate).exists()


def test_an_imported_conversation_shows_its_context_and_nobody_is_said_to_have_written_it(
    project: Project, teammate: User, curator: Client
) -> None:
    imported(project, teammate, FULL)
    row = Conversation.objects.get()
    page = curator.get(url(project, "conversation-detail", row.pk)).content.decode()
    assert "Hold the round button for ten seconds. Then wait." in page
    assert "written by a person" not in page
    assert "0 tokens" not in page
    assert "Careful" in page
    assert "No model wrote this version" in curator.get(url(project, "conversation-trace", row.pk)).content.decode()


def test_structured_rows_are_imported_shown_and_written_again(
    project: Project, teammate: User, curator: Client
) -> None:
    other = {**STRUCTURED, "instruction": "Describe <b>power</b>.", "context": None}
    page = curator.get(url(project, "import-detail", stored(project, teammate, STRUCTURED).pk)).content.decode()
    assert "structured rows" in page
    row = imported(project, teammate, STRUCTURED, b"{oops\n", FULL, other)
    assert (row.shape, row.rows) == ("rows", 2)
    assert [number for number, _ in row.problems] == [2, 3]
    assert "written as AfterImage rows, but the file as structured rows" in row.problems[1][1]
    first = row.batch.conversations.earliest("pk")
    assert (first.opening, first.turns, first.head.output) == ("Describe the reset.", 1, STRUCTURED["output"])
    page = curator.get(url(project, "conversation-detail", first.pk)).content.decode()
    for text in ("Describe the reset.", "minutes", "Hold the round button for ten seconds."):
        assert text in page
    assert exported(project) == [STRUCTURED, other]
    [plain, _] = exported(project, format="rows")
    assert plain == {key: STRUCTURED[key] for key in ("instruction", "persona", "output")} | {
        "context": [STRUCTURED["context"]]
    }


def test_a_file_without_conversations_is_refused_beside_the_field(project: Project, curator: Client) -> None:
    answer = curator.post(url(project, "import-list"), {"file": file_of({"a": 1})})
    assert answer.status_code == 422
    assert "No conversation is found in the file" in answer.content.decode()
    assert curator.post(url(project, "import-list"), {"file": file_of()}).status_code == 422
    assert curator.post(url(project, "import-list")).status_code == 422
    assert not Import.objects.exists()


def test_the_same_file_again_is_noticed_and_still_possible(project: Project, teammate: User, curator: Client) -> None:
    first = imported(project, teammate, messages_row())
    other = imported(make_project(teammate), teammate, messages_row())
    again = stored(project, teammate, messages_row())
    page = curator.get(url(project, "import-detail", again.pk)).content.decode()
    assert "This very file was imported" in page
    assert url(project, "import-detail", first.pk) in page
    assert imports.same_before(other) is None
    with pytest.raises(Refused, match="imported before"):
        imports.start_import(row=again, actor=teammate, again=False)
    curator.post(url(project, "import-start", again.pk))
    assert Import.objects.get(pk=again.pk).state == "running"


def test_a_discarded_file_is_gone_and_a_begun_import_cannot_be_discarded(
    project: Project,
    teammate: User,
    curator: Client,
    folder: Path,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    row = stored(project, teammate, messages_row())
    assert len(list(folder.iterdir())) == 1
    with django_capture_on_commit_callbacks(execute=True):
        curator.post(url(project, "import-discard", row.pk))
    assert not Import.objects.exists()
    assert list(folder.iterdir()) == []
    done = imported(project, teammate, messages_row())
    answer = curator.post(url(project, "import-discard", done.pk), follow=True)
    assert "can be rejected, not taken back" in answer.content.decode()
    assert Import.objects.exists()
    answer = curator.post(url(project, "import-start", done.pk), follow=True)
    assert "has been begun already" in answer.content.decode()


def test_texts_of_a_file_are_escaped(project: Project, teammate: User, curator: Client) -> None:
    hostile = "<script>x</script>"
    row = {"messages": [{"role": "user", "content": hostile}, {"role": "user", "content": hostile}]}
    page = curator.get(url(project, "import-detail", stored(project, teammate, row).pk)).content.decode()
    assert "&lt;script&gt;x" in page
    assert hostile not in page


def test_a_file_that_is_gone_says_so(project: Project, teammate: User, curator: Client, folder: Path) -> None:
    row = stored(project, teammate, messages_row())
    next(folder.iterdir()).unlink()
    assert "upload it again" in curator.get(url(project, "import-detail", row.pk)).content.decode()
    imports.start_import(row=row, actor=teammate)
    tasks.carry_on_import(row.pk)
    row.refresh_from_db()
    assert row.state == "failed"
    assert "upload it again" in row.error


def test_curators_import_and_nobody_else(
    project: Project, teammate: User, annotator: User, stranger: User, client_of: Clients
) -> None:
    row = stored(project, teammate, messages_row())
    pages = (url(project, "import-list"), url(project, "import-detail", row.pk))
    for page in pages:
        seen = client_of(annotator).get(page)
        assert seen.status_code == 200
        assert "<main" in seen.content.decode()
        assert "button primary" not in seen.content.decode()
        assert Client().get(page).status_code == 302
    for user, status in ((annotator, 403), (stranger, 404)):
        client = client_of(user)
        assert [client.get(page).status_code for page in pages] == ([200, 200] if user is annotator else [404, 404])
        assert client.post(url(project, "import-list"), {"file": file_of(messages_row())}).status_code == status
        for name in ("import-start", "import-discard"):
            assert client.post(url(project, name, row.pk)).status_code == status
    foreign = stored(make_project(), stranger, messages_row())
    for name in ("import-start", "import-discard"):
        assert client_of(teammate).post(url(project, name, foreign.pk)).status_code == 404
    assert client_of(teammate).get(url(project, "import-detail", foreign.pk)).status_code == 404
    assert set(Import.objects.values_list("state", flat=True)) == {"shown"}


def test_the_list_leads_to_the_import_and_shows_earlier_ones(
    project: Project, teammate: User, curator: Client, annotator: User, client_of: Clients
) -> None:
    address = url(project, "import-list")
    assert address in curator.get(url(project, "conversation-list")).content.decode()
    assert address not in client_of(annotator).get(url(project, "conversation-list")).content.decode()
    imported(project, teammate, messages_row())
    stored(project, teammate, messages_row(2))
    page = curator.get(address).content.decode()
    assert "To confirm" in page
    assert "Done" in page


# -- what comes of it ---------------------------------------------------------------------------------------------------


def test_a_row_becomes_a_conversation_a_version_and_a_judgement(project: Project, teammate: User) -> None:
    imported(project, teammate, FULL)
    row = Conversation.objects.select_related("head").get()
    assert (row.opening, row.turns, row.score, row.status, row.offline) == (
        "How do I reset it?", 1, 0.86, "generated", False,
    )  # fmt: skip
    assert (row.head.origin, row.head.number, row.head.author, row.head.persona) == (
        Origin.IMPORTED, 1, teammate, "A nurse",
    )  # fmt: skip
    judgement = Judgement.objects.get(version=row.head)
    assert (judgement.evaluator, judgement.overall, judgement.grade) == ("afterimage", 0.86, "good")
    assert judgement.scores[0] == {"criterion": "coherence", "value": 0.91, "feedback": "Fits."}
    assert ConversationFilter(q="button").count(project.conversations.all()) == 1


def test_raw_rows_go_out_as_they_came_in(project: Project, teammate: User) -> None:
    rows = [
        FULL,
        {key: FULL[key] for key in ("conversations", "metadata")},
        FULL | {"evaluation": {"coherence": {"score": -0.2, "extra": [1]}}, "final_score": 1.25, "id": 7, "x": None},
        {"conversations": [{"role": "user", "content": "a\u2028b"}, {"role": "assistant", "content": "", "n": 1.5}]},
    ]
    imported(project, teammate, *rows)
    assert exported(project, reasoning=True) == rows


def test_a_new_judgement_takes_the_place_of_the_imported_one_and_a_new_version_has_none(
    project: Project, teammate: User
) -> None:
    imported(project, teammate, FULL | {"final_score": 7})
    row = Conversation.objects.select_related("head").get()
    assert exported(project)[0]["final_score"] == 7
    score = {"criterion": "helpfulness", "value": 0.5, "feedback": ""}
    Judgement.objects.create(version=row.head, evaluator="panel", model="m", overall=0.5, scores=[score])
    again = exported(project)[0]
    assert again["final_score"] == 0.5
    assert again["evaluation"] == {"helpfulness": {"feedback": "", "score": 0.5}}
    add_version(conversation=row, dialog=row.head.dialog, origin=Origin.EDITED)
    edited = exported(project)[0]
    assert "evaluation" not in edited
    assert edited["metadata"] == FULL["metadata"]


def test_metadata_of_an_export_stands_beside_that_of_the_row(project: Project, teammate: User) -> None:
    imported(project, teammate, FULL)
    metadata = exported(project, metadata=True)[0]["metadata"]
    assert metadata["persona_name"] == "A nurse"
    assert metadata["run"] == "talks.jsonl"
    assert metadata["models"] == []


def test_what_the_database_cannot_hold_is_left_out_by_itself(
    project: Project, teammate: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def long_grade(incoming: Any) -> Judgement:
        judgement = judged(incoming)
        judgement.grade = "x" * 30 if incoming.incoming.judged.overall == 0.25 else ""
        return judgement

    judged = imports._judgement
    monkeypatch.setattr(imports, "_judgement", long_grade)
    row = imported(project, teammate, FULL, FULL | {"final_score": 0.25}, FULL)
    assert (row.state, row.rows, row.problem_count) == ("done", 2, 1)
    assert row.problems[0][0] == 2
    assert "The database refuses it" in row.problems[0][1]


def test_large_files_are_read_in_chunks_and_problems_are_counted_past_those_kept(
    project: Project, teammate: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "CHUNK", 7)
    monkeypatch.setattr(imports, "PROBLEMS_KEPT", 3)
    rows = [messages_row(n) for n in range(20)]
    row = imports.start_import(row=stored(project, teammate, *rows, *[b"{\n"] * 5), actor=teammate)
    seen = []
    while imports.advance(import_id=row.pk):
        row.refresh_from_db()
        seen.append((row.lines, row.rows))
    assert seen == [(7, 7), (14, 14), (21, 20), (25, 20)]
    row.refresh_from_db()
    assert (row.state, row.rows, row.problem_count, len(row.problems)) == ("done", 20, 5, 3)
    openings = list(project.conversations.order_by("pk").values_list("opening", flat=True))
    assert openings == [f"Question {n}?" for n in range(20)]
    tasks.carry_on_import(row.pk)
    assert project.conversations.count() == 20


def test_an_import_that_nobody_works_on_is_taken_up_again(project: Project, teammate: User) -> None:
    row = imports.start_import(row=stored(project, teammate, messages_row()), actor=teammate)
    assert imports.left_lying() == []
    Import.objects.update(updated=row.updated - 2 * imports.QUIET)
    assert imports.left_lying() == [row.pk]


# -- by a program -------------------------------------------------------------------------------------------------------


def test_a_program_imports_a_file_once_and_asks_how_far_it_is(
    project: Project,
    teammate: User,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks.carry_on_import, "delay", tasks.carry_on_import)
    program, path = Program.of(teammate), f"/projects/{project.slug}/imports"
    with django_capture_on_commit_callbacks(execute=True):
        answer = program.upload(path, file=file_of(messages_row(), b"{\n"))
    assert answer.status_code == 201
    assert answer.json()["shape"] == "messages"
    said = program.get(f"{path}/{answer.json()['id']}")
    assert (said["state"], said["rows"], said["problem_count"]) == ("done", 1, 1)
    assert said["problems"][0]["line"] == 2
    refused = program.upload(path, file=file_of(messages_row(), b"{\n"))
    assert refused.status_code == 422
    assert "imported before" in refused.content.decode()
    assert len(program.get(path)["items"]) == 1
    assert program.upload(path, file=file_of(messages_row(), b"{\n"), again="true").status_code == 201
    assert project.conversations.count() == 1


def test_programs_of_others_import_nothing(project: Project, annotator: User, stranger: User) -> None:
    path = f"/projects/{project.slug}/imports"
    for user, upload, read in ((annotator, 403, 200), (stranger, 404, 404)):
        program = Program.of(user)
        assert program.upload(path, file=file_of(messages_row())).status_code == upload
        assert program.call("GET", path).status_code == read
    assert not Import.objects.exists()


def test_an_upload_too_large_for_memory_is_read_from_the_disk(
    project: Project, curator: Client, settings: Settings
) -> None:
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 100
    answer = curator.post(url(project, "import-list"), {"file": file_of(FULL, messages_row(), FULL)})
    assert answer.status_code == 302
    row = Import.objects.get()
    assert row.size == row.file.size
    tasks.carry_on_import(imports.start_import(row=row, actor=row.created_by).pk)
    assert project.conversations.count() == 2
