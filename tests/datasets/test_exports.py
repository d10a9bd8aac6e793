"""Exports: asked for in a browser, written by a worker, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.http import FileResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks, Settings

from datasets import tasks
from datasets.filters import ConversationFilter
from datasets.formats import Options
from datasets.models import Conversation, Export, Persona, Project, User, Version, artifacts
from datasets.services.errors import Refused
from datasets.services.personas.saving import save_persona
from datasets.services.publishing import exports
from tests.factories import make_conversation, make_dialog, make_project, make_source, make_trace

pytestmark = pytest.mark.django_db
Clients = Callable[[User], Client]
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path / "exports"


@pytest.fixture
def curator(teammate: User, client_of: Clients) -> Client:
    return client_of(teammate)


def url(project: Project, name: str, *args: Any) -> str:
    return reverse(f"datasets:{name}", args=[project.slug, *args])


def ask(
    project: Project, user: User, format: str = "messages", options: Options | None = None, **wanted: Any
) -> Export:
    return exports.start_export(
        project=project,
        actor=user,
        filter=ConversationFilter(**wanted),
        format=format,
        options=options or Options(),
    )


def written(export: Export) -> Export:
    tasks.write_export(export.pk)
    export.refresh_from_db()
    return export


def body(response: FileResponse) -> bytes:
    return b"".join(response.streaming_content)


def lines(export: Export) -> list[Any]:
    return [json.loads(line) for line in export.file.open("rb").read().decode().split("\n")[:-1]]


# -- in a browser -------------------------------------------------------------------------------------------------------


def test_an_export_is_asked_for_written_and_downloaded(
    project: Project,
    teammate: User,
    curator: Client,
    folder: Path,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [make_conversation(project, f"Question {n}?", f"Answer {n}.", status="approved") for n in range(3)]
    make_conversation(project, "Not reviewed?", "No.")
    sent: list[int] = []
    monkeypatch.setattr(tasks.write_export, "delay", sent.append)
    assert '<b class="num">3</b> rows' in curator.get(url(project, "export-new")).content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        answer = curator.post(
            url(project, "export-new"), {"status": "approved", "format": "messages", "system_prompt": "on"}
        )
    export = Export.objects.get()
    assert sent == [export.pk]
    assert answer["Location"] == url(project, "export-detail", export.pk)
    assert (export.rows, export.state, export.created_by) == (3, "waiting", teammate)
    tasks.write_export(export.pk)

    page = curator.get(answer["Location"]).content.decode()
    assert url(project, "export-download", export.pk) in page
    download = curator.get(url(project, "export-download", export.pk))
    assert download["Content-Disposition"] == f'attachment; filename="handbook-messages-{export.pk}.jsonl"'
    content = body(download)
    said = [json.loads(line)["messages"] for line in content.decode().splitlines()]
    assert [one[1]["content"] for one in said] == [row.opening for row in rows]
    assert said[0][0] == {"role": "system", "content": "You are a helpful expert."}
    export.refresh_from_db()
    assert export.sha256 == hashlib.sha256(content).hexdigest()
    assert (export.size, export.rows_written, export.skipped, export.state) == (len(content), 3, 0, "ready")
    assert [path.name for path in folder.iterdir()] == [export.file_name]
    assert project.activities.filter(text__contains="exported 3", actor=teammate).exists()


def test_the_form_takes_over_the_filter_of_the_list_and_approved_otherwise(project: Project, curator: Client) -> None:
    make_conversation(project, labels=("odd",))
    label = project.labels.get()
    page = curator.get(url(project, "conversation-list"), {"label": label.pk}).content.decode()
    address = f"{url(project, 'export-new')}?label={label.pk}&amp;status="
    assert address in page
    context = curator.get(address.replace("&amp;", "&")).context
    assert (context["form"].filter, context["count"]) == (ConversationFilter(label=label.pk), 1)
    assert curator.get(url(project, "export-new")).context["form"].filter == ConversationFilter(status="approved")


def test_the_preview_is_a_real_row_in_the_chosen_format(project: Project, curator: Client) -> None:
    make_conversation(project, "Unanswered?", status="approved")
    make_conversation(project, "Where is the fuse?", "</pre><script>x</script>", status="approved")
    choice = {"format": "sharegpt", "system_prompt": "on", "metadata": "on"}
    part = curator.get(url(project, "export-new"), choice, headers=HTMX).content.decode()
    assert part.strip().startswith('<section class="card" id="preview">')
    for text in ("human", "Where is the fuse?", "system", "metadata", "&lt;script&gt;"):
        assert text in part
    assert "<script>x" not in part


@pytest.mark.parametrize(
    ("query", "says", "leads_to"),
    [
        ({}, "No conversation that matches is approved", "conversations/?status=generated"),
        ({"status": "", "q": "zebra"}, "widen the choice", "exports/new/?status="),
    ],
)
def test_nothing_to_write_is_explained_with_a_way_on(
    query: dict[str, str], says: str, leads_to: str, project: Project, curator: Client
) -> None:
    make_conversation(project)
    page = curator.get(url(project, "export-new"), query).content.decode()
    assert says in page
    assert leads_to in page
    answer = curator.post(url(project, "export-new"), {"format": "messages", **query})
    assert answer.status_code == 422
    assert not Export.objects.exists()


def test_without_any_conversation_the_form_leads_to_a_run(project: Project, curator: Client) -> None:
    page = curator.get(url(project, "export-new")).content.decode()
    assert reverse("generation:run-new", args=[project.slug]) in page
    assert "There are no conversations yet" in page


@pytest.mark.parametrize("data", [{"format": "parquet"}, {"status": "lovely"}, {"turns_min": "x"}])
def test_a_form_that_cannot_be_read_is_refused(data: dict[str, str], project: Project, curator: Client) -> None:
    make_conversation(project, status="approved")
    assert curator.post(url(project, "export-new"), {"format": "messages", **data}).status_code == 422
    assert not Export.objects.exists()


def test_members_download_curators_ask_and_strangers_see_nothing(
    project: Project, owner: User, annotator: User, stranger: User, client_of: Clients
) -> None:
    make_conversation(project, status="approved")
    export = written(ask(project, owner))
    pages = [url(project, name, export.pk) for name in ("export-detail", "export-download")]
    for page in (*pages, url(project, "export-list")):
        assert client_of(annotator).get(page).status_code == 200
        assert client_of(stranger).get(page).status_code == 404
        assert Client().get(page).status_code == 302
    for user, status in ((annotator, 403), (stranger, 404)):
        assert client_of(user).get(url(project, "export-new")).status_code == status
        assert client_of(user).post(url(project, "export-new"), {"format": "messages"}).status_code == status
        assert client_of(user).post(url(project, "export-delete", export.pk)).status_code == status
    assert Export.objects.count() == 1


def test_an_export_of_another_project_is_not_found_through_mine(
    project: Project, teammate: User, curator: Client
) -> None:
    other = make_project()
    make_conversation(other)
    export = written(ask(other, teammate))
    for name in ("export-detail", "export-download"):
        assert curator.get(url(project, name, export.pk)).status_code == 404
    assert curator.post(url(project, "export-delete", export.pk)).status_code == 404


def test_the_page_asks_for_news_only_while_the_file_is_being_written(
    project: Project, owner: User, curator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_conversation(project)
    export = ask(project, owner)
    page = url(project, "export-detail", export.pk)
    monkeypatch.setattr("datasets.pulse.listens", lambda queue: False)
    waiting = curator.get(page, headers=HTMX).content.decode()
    assert 'hx-trigger="every 1s"' in waiting
    assert "No worker listens" in waiting
    assert curator.get(url(project, "export-download", export.pk)).status_code == 404
    assert 'hx-trigger="every 2s"' in curator.get(url(project, "export-list")).content.decode()
    written(export)
    assert "hx-trigger" not in curator.get(page, headers=HTMX).content.decode()
    assert 'hx-trigger="every 2s"' not in curator.get(url(project, "export-list")).content.decode()


def test_deleting_an_export_deletes_its_file(project: Project, owner: User, curator: Client, folder: Path,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> None:  # fmt: skip
    make_conversation(project)
    export = written(ask(project, owner))
    with django_capture_on_commit_callbacks(execute=True):
        curator.post(url(project, "export-delete", export.pk))
    assert not Export.objects.exists()
    assert list(folder.iterdir()) == []


def test_a_file_that_is_gone_is_a_404(project: Project, owner: User, curator: Client, folder: Path) -> None:
    make_conversation(project)
    export = written(ask(project, owner))
    (folder / export.file_name).unlink()
    assert curator.get(url(project, "export-download", export.pk)).status_code == 404


# -- what is written ----------------------------------------------------------------------------------------------------


def test_rows_are_those_of_the_filter_when_it_was_asked_for_oldest_first(
    project: Project, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "CHUNK", 2)
    rows = [make_conversation(project, f"Q {n}?", "A.", labels=("odd",) if n % 2 else ()) for n in range(7)]
    export = ask(project, owner, label=project.labels.get().pk, q="q")
    make_conversation(project, "Q late?", "A.", labels=("odd",))
    assert [row["messages"][0]["content"] for row in lines(written(export))] == ["Q 1?", "Q 3?", "Q 5?"]
    assert export.rows == export.rows_written == 3
    assert export.up_to == rows[-1].pk


def test_the_version_that_counts_is_written(project: Project, owner: User) -> None:
    from datasets.services.curating.conversations import add_version

    row = make_conversation(project, "Old?", "Old.")
    add_version(conversation=row, dialog=make_dialog("New?", "New."), origin="edited", author=owner)
    assert lines(written(ask(project, owner)))[0]["messages"][1]["content"] == "New."


def test_what_the_format_cannot_hold_is_left_out_and_counted_by_reason(
    project: Project, owner: User, curator: Client
) -> None:
    make_conversation(project, "Fine?", "Yes.")
    for _ in range(2):
        make_conversation(project, "Unanswered?")
    broken = make_conversation(project, "Broken?", "Yes.")
    Version.objects.filter(pk=broken.head_id).update(messages=[{"role": "ghost"}])
    export = written(ask(project, owner, format="sharegpt"))
    assert (export.rows, export.rows_written, export.skipped) == (4, 1, 3)
    assert export.skips == {"It does not end with an answer.": 2, "Its stored messages cannot be read.": 1}
    page = curator.get(url(project, "export-detail", export.pk)).content.decode()
    assert "2: It does not end with an answer." in page


def test_an_export_of_nothing_that_fits_fails_and_says_why(project: Project, owner: User, folder: Path) -> None:
    make_conversation(project, "Unanswered?")
    export = written(ask(project, owner))
    assert export.state == "failed"
    assert "could hold none" in export.error
    assert export.skips == {"It does not end with an answer.": 1}
    assert list(folder.iterdir()) == []


def test_a_row_has_no_more_than_trainers_read_unless_metadata_is_asked_for(project: Project, owner: User) -> None:
    dialog = make_dialog(trace=make_trace(make_source()))
    row = make_conversation(project, dialog=dialog, status="approved", labels=("odd",), score=0.5)
    [plain] = lines(written(ask(project, owner)))
    assert list(plain) == ["messages"]
    assert [message["role"] for message in plain["messages"]] == ["user", "assistant"]
    [full] = lines(written(ask(project, owner, options=Options(metadata=True))))
    told = full["metadata"]
    assert full["messages"] == plain["messages"]
    assert (told["id"], told["status"], told["labels"], told["score"]) == (row.pk, "approved", ["odd"], 0.5)
    assert (told["run"], told["offline"], told["models"]) == (row.batch.name, False, ["test-model"])
    assert [(source["title"], source["start"], source["score"]) for source in told["sources"]] == [
        ("Manual", 0, 0.8125)
    ]


def test_a_raw_row_says_who_asked_and_how_far_from_its_document_that_persona_was_grown(
    project: Project, owner: User
) -> None:
    persona = save_persona(project=project, name="Ada", description="A night nurse.", features={}, author=None)
    Persona.objects.filter(pk=persona.pk).update(depth=2)
    asked = make_conversation(project, dialog=make_dialog(persona="A night nurse.\n- mood: calm"), status="approved")
    Conversation.objects.filter(pk=asked.pk).update(persona=persona)
    make_conversation(project, status="approved")
    rows = lines(written(ask(project, owner, "raw")))
    assert [row["persona"] for row in rows] == ["A night nurse.\n- mood: calm", None]
    told = [(row["metadata"]["persona_name"], row["metadata"]["persona_generation_depth"]) for row in rows]
    assert told == [("Ada", 2), (None, None)]
    [full, _] = lines(written(ask(project, owner, options=Options(metadata=True))))
    assert (full["metadata"]["persona"], full["metadata"]["persona_depth"]) == ("Ada", 2)


def test_a_file_that_the_offline_model_touched_says_so_in_its_name_and_on_every_page(
    project: Project, owner: User, curator: Client
) -> None:
    make_conversation(project)
    make_conversation(project, offline=True)
    export = written(ask(project, owner, options=Options(metadata=True)))
    assert export.offline
    assert export.file_name == f"handbook-messages-offline-{export.pk}.jsonl"
    assert [row["metadata"]["offline"] for row in lines(export)] == [False, True]
    assert "Made by the offline model" in curator.get(url(project, "export-detail", export.pk)).content.decode()
    assert "offline model" in curator.get(url(project, "export-list")).content.decode()


def test_many_rows_take_a_few_queries_a_chunk(
    project: Project,
    owner: User,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    monkeypatch.setattr(exports, "CHUNK", 10)
    for n in range(20):
        make_conversation(project, labels=(f"label {n}",))
    export = ask(project, owner, options=Options(metadata=True))
    with django_assert_max_num_queries(18):
        tasks.write_export(export.pk)


def test_nothing_to_write_is_refused(project: Project, owner: User) -> None:
    with pytest.raises(Refused, match="Nothing matches"):
        ask(project, owner)


def test_a_tick_reminds_of_exports_that_nobody_holds(
    project: Project, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_conversation(project)
    export = ask(project, owner)
    sent: list[Any] = []
    monkeypatch.setattr(tasks.write_export, "apply_async", lambda arguments, **_: sent.append(arguments))
    tasks.tick()
    written(export)
    tasks.tick()
    assert sent == [(export.pk,)]


# -- killed, doubled, broken --------------------------------------------------------------------------------------------


def test_one_that_is_written_is_not_written_again(project: Project, owner: User, folder: Path) -> None:
    make_conversation(project)
    export = written(ask(project, owner))
    (folder / export.file_name).write_text("kept")
    assert written(export).attempts == 1
    assert (folder / export.file_name).read_text() == "kept"


def expire(export: Export) -> None:
    Export.objects.filter(pk=export.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_one_whose_worker_was_killed_is_begun_again_and_leaves_no_draft(
    project: Project, owner: User, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "CHUNK", 1)
    for _ in range(3):
        make_conversation(project)
    export = ask(project, owner)
    folder.mkdir()
    (folder / f".{export.pk}-0.part").write_text("left by a kill")
    assert list(Export.objects.waiting()) == [export]
    Export.objects.update(state="writing", attempts=1, lease_until=timezone.now() + artifacts.LEASE)
    assert list(Export.objects.waiting()) == []
    assert written(export).state == "writing"
    expire(export)
    assert list(Export.objects.waiting()) == [export]
    assert (written(export).state, export.attempts, len(lines(export))) == ("ready", 2, 3)
    assert [path.name for path in folder.iterdir()] == [export.file_name]


def test_one_that_took_three_workers_with_it_fails(project: Project, owner: User) -> None:
    make_conversation(project)
    export = ask(project, owner)
    Export.objects.update(state="writing", attempts=artifacts.MAX_ATTEMPTS)
    expire(export)
    assert written(export).state == "failed"
    assert "stopped 3 times" in export.error
    assert list(Export.objects.waiting()) == []


def interrupted(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Something happens after the first chunk has been read."""
    real = exports._chunks

    def chunks(export: Export, options: Options) -> Iterator[Any]:
        source = real(export, options)
        yield next(source)
        happens()
        yield from source

    monkeypatch.setattr(exports, "_chunks", chunks)


def test_a_worker_that_was_overtaken_writes_nothing(
    project: Project, owner: User, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "CHUNK", 1)
    for _ in range(2):
        make_conversation(project)
    export = ask(project, owner)
    interrupted(monkeypatch, lambda: Export.objects.filter(pk=export.pk).update(attempts=2))
    assert written(export).state == "writing"
    assert list(folder.iterdir()) == []


def test_one_that_is_deleted_while_it_is_written_leaves_no_file(
    project: Project, owner: User, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "CHUNK", 1)
    for _ in range(2):
        make_conversation(project)
    export = ask(project, owner)
    interrupted(monkeypatch, lambda: exports.delete_export(export=Export.objects.get(pk=export.pk), actor=owner))
    tasks.write_export(export.pk)
    assert not Export.objects.exists()
    assert list(folder.iterdir()) == []


def test_a_full_or_forbidden_disk_fails_the_export_in_words(project: Project, owner: User, folder: Path) -> None:
    make_conversation(project)
    export = ask(project, owner)
    folder.mkdir()
    (folder / export.file_name).mkdir()  # a folder stands where the file should go
    assert written(export).state == "failed"
    assert "could not write the file" in export.error
    assert [path.name for path in folder.iterdir()] == [export.file_name]
