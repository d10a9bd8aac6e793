"""The page of one conversation: what was said, from which sources, by which calls; labels and notes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from datasets.models import Conversation, Document, Judgement, Note, Origin, Project, SourceFile, User
from datasets.services.curating.conversations import add_label, add_note, add_version
from tests.factories import make_conversation, make_corpus, make_dialog, make_source, make_trace

pytestmark = pytest.mark.django_db
Clients = Callable[[User], Client]
HTMX = {"HX-Request": "true"}


def url(row: Conversation, name: str = "conversation-detail", *args: Any) -> str:
    return reverse(f"datasets:{name}", args=[row.project.slug, row.pk, *args])


def read(client: Client, row: Conversation, **query: Any) -> str:
    response = client.get(url(row), query)
    assert response.status_code == 200
    return response.content.decode()


@pytest.fixture
def reviewer(annotator: User, client_of: Clients) -> Client:
    return client_of(annotator)


@pytest.fixture
def document(project: Project) -> Document:
    corpus = make_corpus(project)
    file = SourceFile.objects.create(corpus=corpus, name="manual.txt", size=1, sha256="0" * 64, state="ready")
    return Document.objects.create(corpus=corpus, source=file, title="Manual", text="x" * 99, characters=99, revision=1)


def test_it_reads_like_a_chat_with_markdown_made_safe(project: Project, reviewer: Client) -> None:
    answer = "Hold it for **ten** seconds.\n\n- one\n- two\n\n<script>alert(1)</script> <img src=x onerror=alert(2)>"
    page = read(
        reviewer, make_conversation(project, "How? <b>me</b>", answer, "And [then](javascript:alert(3))?", "Wait.")
    )
    assert "<strong>ten</strong>" in page
    assert "<li>one</li>" in page
    for hostile in ("<script>alert", "<img src=x", 'href="javascript:'):
        assert hostile not in page
    assert page.index("How?") < page.index("<strong>ten") < page.index("And ") < page.index("Wait.")


def test_each_answer_shows_its_sources_with_a_way_to_the_place(
    project: Project, document: Document, reviewer: Client
) -> None:
    kept = make_source(document=document.pk, start=10, end=48, page=3, text="A <i>quoted</i> passage.")
    gone = make_source(document=document.pk + 1, title="Old manual", score=None)
    page = read(reviewer, make_conversation(project, dialog=make_dialog(trace=make_trace(kept, gone))))
    place = reverse("datasets:document-detail", args=[project.slug, document.corpus_id, document.pk])
    assert f'href="{place}?start=10&amp;end=48"' in page
    assert "0.813" in page
    assert "A &lt;i&gt;quoted&lt;/i&gt; passage." in page
    assert "Manual, p. 3" in page
    assert 'Old manual</b> <span class="muted">(no longer in the corpus)' in page


def test_what_a_retriever_said_of_a_source_stands_below_it(project: Project, reviewer: Client) -> None:
    found = make_source(passage=0, document=0, metadata={"id": "point-4", "collection_name": "<i>court</i>"})
    page = read(reviewer, make_conversation(project, dialog=make_dialog(trace=make_trace(found))))
    assert "id: point-4 · collection_name: &lt;i&gt;court&lt;/i&gt;" in page


def test_a_document_of_another_project_is_never_linked(project: Project, document: Document, reviewer: Client) -> None:
    foreign = Document.objects.create(
        corpus=make_corpus(), source=document.source, key="x", title="X", text="x", characters=1, revision=1
    )
    page = read(
        reviewer, make_conversation(project, dialog=make_dialog(trace=make_trace(make_source(document=foreign.pk))))
    )
    assert "(no longer in the corpus)" in page


def test_the_trace_is_asked_for_when_it_is_opened_and_shows_every_call_in_full(
    project: Project, reviewer: Client
) -> None:
    row = make_conversation(project, dialog=make_dialog(trace=make_trace(make_source())))
    page = read(reviewer, row)
    assert f'hx-get="{url(row, "conversation-trace")}?version=1"' in page
    assert "Answer from the passages." not in page
    calls = reviewer.get(url(row, "conversation-trace"), headers=HTMX).content.decode()
    assert "<html" not in calls
    for text in (
        "Write a question.",
        "Answer from the passages.",
        "Hold the button.",
        "0.84\u202fs",
        "2 tries",
        "212 out",
    ):
        assert text.replace("\u202f", " ") in calls.replace("\u202f", " ").replace("\xa0", " ")
    assert "<html" in reviewer.get(url(row, "conversation-trace")).content.decode()


def test_versions_can_be_read_and_only_the_one_that_counts_decided(
    project: Project, owner: User, reviewer: Client
) -> None:
    row = make_conversation(project, "First words?", "First answer.")
    new = make_dialog("Second words?", "Second answer.")
    add_version(conversation=row, dialog=new, origin=Origin.EDITED, author=owner)
    page = read(reviewer, row)
    assert "Second answer." in page
    assert 'value="approved"' in page
    old = read(reviewer, row, version="1", status="generated")
    assert "First answer." in old
    assert "You are reading version 1." in old
    assert 'value="approved"' not in old
    assert reviewer.get(url(row), {"version": "7"}).status_code == 404
    assert "Second answer." in read(reviewer, row, version="1e9")


def test_judge_persona_run_and_the_offline_model_are_named(project: Project, reviewer: Client) -> None:
    row = make_conversation(project, dialog=make_dialog(persona="An impatient clerk."), offline=True)
    scores = [{"criterion": "grounded", "value": 0.25, "feedback": "No source says so."}]
    Judgement.objects.create(version=row.head, evaluator="Rubric", model="judge-1", overall=0.25, scores=scores)
    page = read(reviewer, row)
    for text in ("Made by the offline model", "An impatient clerk.", "Grounded", "No source says so.", row.batch.name):
        assert text in page
    assert reverse("generation:batch-run", args=[project.slug, row.batch_id]) in page


def test_next_and_previous_stay_in_the_filter(project: Project, reviewer: Client) -> None:
    rows = [make_conversation(project, status="approved" if n % 2 else "rejected") for n in range(5)]
    context = reviewer.get(url(rows[2]), {"status": "approved"}).context
    assert (context["previous"], context["next"], context["left"]) == (rows[3].pk, rows[1].pk, 1)
    context = reviewer.get(url(rows[2])).context
    assert (context["previous"], context["next"], context["left"]) == (rows[3].pk, rows[1].pk, 2)
    context = reviewer.get(url(rows[1]), {"status": "approved", "q": "reset"}).context
    assert (context["previous"], context["next"]) == (rows[3].pk, None)


def test_a_broken_filter_in_the_address_is_refused_rather_than_ignored(project: Project, reviewer: Client) -> None:
    row = make_conversation(project)
    assert reviewer.get(url(row), {"turns_min": "many"}).status_code == 400
    decision = {"decision": "approved", "version": row.head_id}
    assert reviewer.post(url(row, "conversation-review") + "?batch=x", decision).status_code == 400
    row.refresh_from_db()
    assert row.status == "generated"


def test_htmx_gets_the_conversation_without_the_frame(project: Project, reviewer: Client) -> None:
    row = make_conversation(project)
    part = reviewer.get(url(row), headers=HTMX).content.decode()
    assert part.strip().startswith(f"<title>Conversation {row.pk}")
    assert '<div class="stack" id="conversation">' in part
    assert "<html" not in part


def test_a_long_history_takes_no_more_queries(
    project: Project, owner: User, reviewer: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    row = make_conversation(project, *["Q?", "A."] * 6, labels=("a", "b", "c"), dialog=None)
    for n in range(6):
        add_note(conversation=row, text=f"Note {n}", author=owner)
        add_version(
            conversation=row, dialog=make_dialog(trace=make_trace(make_source())), origin="edited", author=owner
        )
    with django_assert_max_num_queries(18):
        read(reviewer, row)


# -- labels and notes ---------------------------------------------------------------------------------------------------


def test_a_label_is_put_on_and_taken_off(project: Project, annotator: User, reviewer: Client) -> None:
    row = make_conversation(project)
    answer = reviewer.post(url(row, "conversation-label"), {"name": "  Needs   work "}, headers=HTMX)
    assert answer.status_code == 200
    assert answer.content.decode().strip().startswith('<section class="card" id="labels">')
    [labelling] = row.labellings.all()
    assert (labelling.label.name, labelling.author) == ("Needs work", annotator)
    reviewer.post(url(row, "conversation-label"), {"name": "needs WORK"})
    assert row.labels.count() == project.labels.count() == 1
    assert reviewer.post(url(row, "conversation-unlabel", labelling.label_id)).status_code == 302
    assert row.labels.count() == 0
    assert project.labels.count() == 1


@pytest.mark.parametrize("name", ["", "   ", "x" * 41, "\x00"])
def test_a_label_without_a_name_or_with_too_long_a_one_is_refused(
    name: str, project: Project, reviewer: Client
) -> None:
    row = make_conversation(project)
    for headers in ({}, HTMX):
        answer = reviewer.post(url(row, "conversation-label"), {"name": name}, headers=headers)
        assert answer.status_code == 422
        assert "label" in answer.content.decode()
    assert not project.labels.exists()


def test_a_note_is_left_and_only_its_author_deletes_it(
    project: Project, annotator: User, teammate: User, reviewer: Client, client_of: Clients
) -> None:
    row = make_conversation(project)
    reviewer.post(url(row, "conversation-note"), {"text": "Look <b>again</b>.\nPlease."})
    [note] = row.notes.all()
    assert (note.text, note.author) == ("Look <b>again</b>.\nPlease.", annotator)
    assert "Look &lt;b&gt;again&lt;/b&gt;.<br>Please." in read(reviewer, row)
    assert client_of(teammate).post(url(row, "conversation-note-delete", note.pk)).status_code == 404
    assert Note.objects.count() == 1
    reviewer.post(url(row, "conversation-note-delete", note.pk))
    assert not Note.objects.exists()


def test_an_empty_note_is_refused_and_a_long_one_keeps_its_text(project: Project, reviewer: Client) -> None:
    row = make_conversation(project)
    assert reviewer.post(url(row, "conversation-note"), {"text": " "}, headers=HTMX).status_code == 422
    answer = reviewer.post(url(row, "conversation-note"), {"text": "long " * 1001}, headers=HTMX)
    assert answer.status_code == 422
    assert "long long" in answer.content.decode()
    assert not Note.objects.exists()


def test_viewers_and_strangers_change_nothing(
    project: Project, annotator: User, stranger: User, client_of: Clients
) -> None:
    row = make_conversation(project, labels=("kept",))
    label = row.labels.get().pk
    project.memberships.filter(user=annotator).update(role="viewer")
    attempts = {
        url(row, "conversation-label"): {"name": "new"},
        url(row, "conversation-unlabel", label): {},
        url(row, "conversation-note"): {"text": "Hi."},
        url(row, "conversation-review"): {"decision": "approved", "version": row.head_id},
        reverse("datasets:conversation-undo", args=[project.slug]): {},
        reverse("datasets:bulk-new", args=[project.slug]): {"decision": "approved", "up_to": row.pk},
        reverse("datasets:label-delete", args=[project.slug, label]): {},
        reverse("datasets:label-rename", args=[project.slug, label]): {"name": "mine"},
    }
    for user, status in ((annotator, 403), (stranger, 404)):
        for address, data in attempts.items():
            assert client_of(user).post(address, data).status_code == status, address
    row.refresh_from_db()
    assert (row.status, [one.name for one in row.labels.all()], row.notes.count()) == ("generated", ["kept"], 0)
    page = read(client_of(annotator), row)
    assert 'class="verdict-bar"' not in page
    assert "<textarea" not in page


def test_labels_are_renamed_and_deleted_by_curators(
    project: Project, teammate: User, annotator: User, client_of: Clients
) -> None:
    row = make_conversation(project, labels=("odd", "even"))
    odd = project.labels.get(name="odd")
    curator, page = client_of(teammate), reverse("datasets:label-list", args=[project.slug])
    assert "odd" in client_of(annotator).get(page).content.decode()
    rename = reverse("datasets:label-rename", args=[project.slug, odd.pk])
    assert client_of(annotator).post(rename, {"name": "x"}).status_code == 403
    curator.post(rename, {"name": "strange"})
    assert "There is already a label" in curator.post(rename, {"name": "EVEN"}, follow=True).content.decode()
    assert sorted(row.labels.values_list("name", flat=True)) == ["even", "strange"]
    curator.post(reverse("datasets:label-delete", args=[project.slug, odd.pk]))
    assert [label.name for label in row.labels.all()] == ["even"]
    assert project.activities.filter(actor=teammate).count() == 2


def test_a_label_twice_at_once_is_one(project: Project, annotator: User) -> None:
    row = make_conversation(project)
    first = add_label(conversation=row, name="Odd", author=annotator)
    assert add_label(conversation=row, name="odd", author=annotator) == first
    assert row.labellings.count() == 1
