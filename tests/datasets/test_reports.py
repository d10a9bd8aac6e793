"""Reports: asked for in a browser or by a program, reckoned by a worker, read on a page and in one file."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from datasets import tasks
from datasets.filters import ConversationFilter
from datasets.models import (
    Corpus,
    Document,
    Judgement,
    Passage,
    Persona,
    Project,
    Report,
    SourceFile,
    User,
    Version,
    artifacts,
)
from datasets.schema import Source
from datasets.services.errors import Refused
from datasets.services.publishing import reckoning, reports
from tests.api_program import Program, refusal
from tests.factories import make_conversation, make_corpus, make_dialog, make_project, make_source, make_trace

pytestmark = pytest.mark.django_db
Clients = Callable[[User], Client]
HTMX = {"HX-Request": "true"}
HOSTILE = "<script>alert(1)</script>"
API = "/projects/handbook/reports"


@pytest.fixture
def curator(teammate: User, client_of: Clients) -> Client:
    return client_of(teammate)


def url(project: Project, name: str, *args: Any) -> str:
    return reverse(f"datasets:{name}", args=[project.slug, *args])


def ask(project: Project, user: User | None = None, **wanted: Any) -> Report:
    return reports.start_report(project=project, actor=user, filter=ConversationFilter(**wanted))


def made(report: Report) -> Report:
    tasks.make_report(report.pk)
    report.refresh_from_db()
    return report


def result(project: Project, **wanted: Any) -> dict[str, Any]:
    report = made(ask(project, **wanted))
    assert report.state == "done", report.error
    assert report.result is not None
    return report.result


def make_passages(corpus: Corpus, *titles: str, each: int = 2) -> list[Source]:
    """The passages of documents with these titles, as they stand in a trace."""
    file = SourceFile.objects.create(
        corpus=corpus, name="a.txt", size=1, sha256="0", state="ready", passage_count=each * len(titles)
    )
    found = []
    for key, title in enumerate(titles):
        document = Document.objects.create(
            corpus=corpus, source=file, key=str(key), title=title, text="x", characters=1, revision=1
        )
        for n in range(each):
            passage = Passage.objects.create(corpus=corpus, document=document, index=n, text="x", start=0, end=1)
            found.append(make_source(passage=passage.pk, document=document.pk, title=title))
    return found


def judge(version: Version, overall: float | None, **fields: Any) -> Judgement:
    return Judgement.objects.create(version=version, evaluator="panel", model="m", overall=overall, **fields)


# -- in a browser -------------------------------------------------------------------------------------------------------


def test_a_report_is_asked_for_made_shown_and_downloaded(
    project: Project,
    teammate: User,
    curator: Client,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_conversation(project, "How does it start?", "Press the button.", status="approved")
    make_conversation(project, "Not looked at?", "No.")
    sent: list[int] = []
    monkeypatch.setattr(tasks.make_report, "delay", sent.append)
    assert '<b class="num">2</b> conversations' in curator.get(url(project, "report-new")).content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        answer = curator.post(url(project, "report-new"), {"status": "approved"})
    report = Report.objects.get()
    assert sent == [report.pk]
    assert answer["Location"] == url(project, "report-detail", report.pk)
    assert (report.rows, report.state, report.about, report.created_by) == (1, "waiting", "approved", teammate)
    assert made(report).state == "done"
    assert (report.rows_read, report.result["summary"]["words"]) == (1, 7)

    for page in (answer["Location"], url(project, "report-list")):
        html = curator.get(page).content.decode()
        assert "Words of an assistant&#x27;s message" in html
        assert url(project, "report-download", report.pk) in html
    download = curator.get(url(project, "report-download", report.pk))
    assert download["Content-Disposition"] == f'attachment; filename="handbook-report-{report.pk}.html"'
    assert "Report on approved" in download.content.decode()
    assert project.activities.filter(text__contains="report on 1 conversations", actor=teammate).exists()


def test_the_form_takes_over_the_filter_of_the_list(project: Project, curator: Client) -> None:
    make_conversation(project, labels=("odd",))
    make_conversation(project)
    label = project.labels.get()
    address = f"{url(project, 'report-new')}?label={label.pk}"
    assert address in curator.get(url(project, "conversation-list"), {"label": label.pk}).content.decode()
    context = curator.get(address).context
    assert (context["form"].filter, context["count"]) == (ConversationFilter(label=label.pk), 1)


def test_members_read_curators_ask_and_strangers_see_nothing(
    project: Project, owner: User, annotator: User, stranger: User, client_of: Clients
) -> None:
    make_conversation(project)
    report = made(ask(project, owner))
    pages = [url(project, name, report.pk) for name in ("report-detail", "report-download")]
    for page in (*pages, url(project, "report-list")):
        assert client_of(annotator).get(page).status_code == 200
        assert client_of(stranger).get(page).status_code == 404
        assert Client().get(page).status_code == 302
    for user, status in ((annotator, 403), (stranger, 404)):
        assert client_of(user).get(url(project, "report-new")).status_code == status
        assert client_of(user).post(url(project, "report-new")).status_code == status
        assert client_of(user).post(url(project, "report-delete", report.pk)).status_code == status
    assert Report.objects.count() == 1


def test_a_report_of_another_project_is_not_found_through_mine(project: Project, curator: Client) -> None:
    other = make_project()
    make_conversation(other)
    report = made(ask(other))
    for name in ("report-detail", "report-download"):
        assert curator.get(url(project, name, report.pk)).status_code == 404
    assert curator.post(url(project, "report-delete", report.pk)).status_code == 404


def test_the_page_asks_for_news_only_while_the_report_is_being_made(
    project: Project, curator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_conversation(project)
    report = ask(project)
    page = url(project, "report-detail", report.pk)
    monkeypatch.setattr("datasets.pulse.listens", lambda queue: False)
    waiting = curator.get(page, headers=HTMX).content.decode()
    assert 'hx-trigger="every 1s"' in waiting
    assert "No worker listens" in waiting
    assert curator.get(url(project, "report-download", report.pk)).status_code == 404
    assert 'hx-trigger="every 2s"' in curator.get(url(project, "report-list")).content.decode()
    made(report)
    assert "hx-trigger" not in curator.get(page, headers=HTMX).content.decode()
    assert 'hx-trigger="every 2s"' not in curator.get(url(project, "report-list")).content.decode()


@pytest.mark.parametrize(
    ("query", "says"), [({"q": "zebra"}, "widen the choice"), ({"turns_min": "x"}, "Enter a whole number")]
)
def test_a_choice_of_nothing_or_nonsense_is_refused_in_words(
    query: dict[str, str], says: str, project: Project, curator: Client
) -> None:
    make_conversation(project)
    assert says in curator.get(url(project, "report-new"), query).content.decode()
    answer = curator.post(url(project, "report-new"), query)
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert not Report.objects.exists()


def test_without_any_conversation_the_form_leads_to_a_run(project: Project, curator: Client) -> None:
    assert "No reports yet" in curator.get(url(project, "report-list")).content.decode()
    assert (
        reverse("generation:run-new", args=[project.slug]) in curator.get(url(project, "report-new")).content.decode()
    )


def test_the_list_does_not_read_every_result(
    project: Project, curator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    make_conversation(project)
    for _ in range(4):
        made(ask(project))
    with django_assert_max_num_queries(12) as context:
        curator.get(url(project, "report-list"))
    whole = [query["sql"] for query in context.captured_queries if '"datasets_report"."result"' in query["sql"]]
    assert len(whole) == 1
    assert "LIMIT 1" in whole[0]


# -- the file -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hostile(project: Project) -> Report:
    """Of a project in which every name is hostile."""
    corpus = make_corpus(project, name=f"Corpus {HOSTILE}")
    [source, *_] = make_passages(corpus, f"Document {HOSTILE}")
    persona = Persona.objects.create(project=project, name=f"Persona {HOSTILE}", depth=1)
    dialog = make_dialog(f"{HOSTILE}?", f"{HOSTILE}</style>", trace=make_trace(source))
    row = make_conversation(project, dialog=dialog, persona=persona, labels=(HOSTILE,), offline=True)
    scores = [{"criterion": HOSTILE, "value": None}, {"criterion": f"{HOSTILE} 2", "value": 0.5}]
    judge(row.head, 0.5, grade="<b>grade</b>", scores=scores)
    project.name = f"Project {HOSTILE}"
    project.save()
    return made(ask(project, label=project.labels.get().pk))


def test_every_text_of_a_user_is_escaped(hostile: Report, project: Project, curator: Client) -> None:
    for name in ("report-detail", "report-download"):
        html = curator.get(url(project, name, hostile.pk)).content.decode()
        assert "<script>alert" not in html
        assert "<b>grade" not in html
        for what in ("Document", "Persona", "label:"):
            assert f"{what} &lt;script&gt;" in html


def test_the_file_asks_no_host_for_anything(hostile: Report, project: Project, curator: Client) -> None:
    html = curator.get(url(project, "report-download", hostile.pk)).content.decode()
    assert not re.search(r"https?:|//\w|\bsrc=|href=|@import|url\(|<script|<link|<img|<iframe", html)
    assert "default-src 'none'; style-src 'unsafe-inline'" in html
    assert html.count("<style>") == html.count("</style>") == 1
    assert "light-dark(" in html
    assert html.count("<svg") >= 6


def test_the_page_has_no_inline_style_or_script(hostile: Report, project: Project, curator: Client) -> None:
    html = curator.get(url(project, "report-detail", hostile.pk)).content.decode()
    assert not re.search(r"<style|style=|<script(?! src=)", html)


# -- what is reckoned ---------------------------------------------------------------------------------------------------


def test_it_is_about_what_the_filter_matched_when_it_was_asked_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reckoning, "CHUNK", 2)
    for n in range(7):
        make_conversation(project, f"Q {n}?", "A.", labels=("odd",) if n % 2 else ())
    report = ask(project, label=project.labels.get().pk, q="q")
    make_conversation(project, "Q late?", "A.", labels=("odd",))
    assert made(report).result["summary"]["conversations"] == report.rows == report.rows_read == 3
    assert report.about == "“q”, label: odd"


def test_the_version_that_counts_is_read(project: Project, owner: User) -> None:
    from datasets.services.curating.conversations import add_version

    row = make_conversation(project, "Old old old?", "Old.")
    judge(row.head, 0.1)
    add_version(conversation=row, dialog=make_dialog("New?", "New."), origin="edited", author=owner)
    found = result(project)
    assert found["summary"]["words"] == 2
    assert (found["quality"]["judged"], found["quality"]["unjudged"]) == (0, 1)


def test_coverage_counts_each_passage_once_a_conversation(project: Project) -> None:
    handbook, annex, unused = (make_corpus(project, name=name) for name in ("Handbook", "Annex", "Unused"))
    a1, a2, b1, _ = make_passages(handbook, "A", "B")
    [c1, *_] = make_passages(annex, "C", each=5)
    make_passages(unused, "D")
    elsewhere = make_source(passage=0, document=0, title="Elsewhere")
    gone = make_source(passage=2_000_000_000, document=2_000_000_000)
    twice = make_trace(a1, a1)
    twice = twice.model_copy(update={"steps": (*twice.steps, twice.steps[1])})
    make_conversation(project, dialog=make_dialog(trace=twice))
    make_conversation(project, dialog=make_dialog(trace=make_trace(a2, b1, c1, elsewhere, gone)))
    make_conversation(project, dialog=make_dialog(trace=make_trace(b1, elsewhere)))
    make_conversation(project)
    found = result(project)
    coverage = found["coverage"]
    assert (coverage["used_once"], coverage["used_more"], coverage["never"]) == (3, 1, 5)
    assert (coverage["outside"], coverage["without"], found["summary"]["passages"]) == (2, 1, 6)
    shown = {one["name"]: (one["used_once"], one["used_more"], one["never"]) for one in coverage["corpora"]}
    assert shown == {"Handbook": (2, 1, 1), "Annex": (1, 0, 4)}
    assert {one["name"]: one["conversations"] for one in coverage["documents"]} == {
        "A": 2, "B": 2, "Elsewhere": 2, "C": 1, "Document 2000000000, which is no longer here": 1,
    }  # fmt: skip


def test_passages_of_another_project_are_never_named(project: Project) -> None:
    [secret, *_] = make_passages(make_corpus(make_project(), name="Secret"), "Their document")
    make_conversation(project, dialog=make_dialog(trace=make_trace(secret)))
    coverage = result(project)["coverage"]
    assert (coverage["corpora"], coverage["outside"]) == ([], 1)
    assert "Their document" not in str(coverage)


def test_the_latest_judgement_of_the_head_counts(project: Project) -> None:
    score = {"criterion": "factuality", "value": 0.8}
    judged, failed, both = (make_conversation(project) for _ in range(3))
    judge(judged.head, 0.2)
    judge(judged.head, 0.8, grade="good", scores=[score, {"criterion": "grounding", "value": None}])
    judge(failed.head, None, error="It timed out.")
    judge(both.head, 1.0, grade="perfect")
    judge(both.head, None, error="It timed out.")
    make_conversation(project)
    quality = result(project)["quality"]
    assert (quality["judged"], quality["failed"], quality["unjudged"]) == (2, 1, 1)
    assert quality["grades"] == {"good": 1, "perfect": 1}
    assert [n for n, count in enumerate(quality["scores"]["counts"]) if count] == [8, 9]
    assert quality["criteria"] == [
        {"criterion": "factuality", "average": 0.8, "judged": 1, "not_applicable": 0},
        {"criterion": "grounding", "average": None, "judged": 0, "not_applicable": 1},
    ]


def test_personas_are_named_even_where_only_their_text_is_known(project: Project) -> None:
    root = Persona.objects.create(project=project, name="Root")
    child = Persona.objects.create(project=project, name="Child", parent=root, depth=1)
    for persona in (child, child, root):
        make_conversation(project, persona=persona)
    make_conversation(project, dialog=make_dialog(persona="A nurse in a hurry"))
    make_conversation(project)
    found = result(project)["personas"]
    assert [(one["name"], one["conversations"]) for one in found["top"]] == [
        ("Child", 2), ("Root", 1), ("A nurse in a hurry", 1),
    ]  # fmt: skip
    assert found["depths"] == [{"depth": 0, "conversations": 1}, {"depth": 1, "conversations": 2}]
    assert found["without"] == 1


def test_what_cannot_be_read_is_said_and_stops_nothing(project: Project, curator: Client) -> None:
    make_conversation(project, "Fine?", "Yes.")
    broken = make_conversation(project, "Broken?", "Yes.", offline=True)
    Version.objects.filter(pk=broken.head_id).update(messages=[{"role": "ghost"}])
    report = made(ask(project))
    assert report.result["summary"] | {"conversations": 2, "unreadable": 1, "messages": 2} == report.result["summary"]
    assert "1 conversation could not be read" in curator.get(url(project, "report-detail", report.pk)).content.decode()


def test_many_rows_take_three_queries_a_chunk(
    project: Project, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(reckoning, "CHUNK", 10)
    for n in range(20):
        row = make_conversation(project, dialog=make_dialog(trace=make_trace(make_source(passage=n + 1))))
        judge(row.head, 0.5)
    report = ask(project)
    with django_assert_max_num_queries(4 + 3 * 2 + 6):
        tasks.make_report(report.pk)


# -- killed, doubled, deleted -------------------------------------------------------------------------------------------


def expire(report: Report) -> None:
    Report.objects.filter(pk=report.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_one_whose_worker_was_killed_is_begun_again(project: Project) -> None:
    for _ in range(3):
        make_conversation(project)
    report = ask(project)
    assert list(Report.objects.waiting()) == [report]
    Report.objects.update(state="running", attempts=1, rows_read=2, lease_until=timezone.now() + artifacts.LEASE)
    assert list(Report.objects.waiting()) == []
    assert made(report).state == "running"
    expire(report)
    assert list(Report.objects.waiting()) == [report]
    assert (made(report).state, report.attempts, report.rows_read) == ("done", 2, 3)


def test_one_that_is_done_is_not_made_again(project: Project) -> None:
    make_conversation(project)
    report = made(ask(project))
    make_conversation(project)
    finished = report.finished
    assert (made(report).attempts, report.finished) == (1, finished)


def test_one_that_took_three_workers_with_it_fails(project: Project, curator: Client) -> None:
    make_conversation(project)
    report = ask(project)
    Report.objects.update(state="running", attempts=artifacts.MAX_ATTEMPTS)
    expire(report)
    assert made(report).state == "failed"
    assert "stopped 3 times" in curator.get(url(project, "report-detail", report.pk)).content.decode()
    assert list(Report.objects.waiting()) == []


def interrupted(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Something happens after the first chunk has been read."""
    real = reckoning.chunks
    monkeypatch.setattr(reckoning, "CHUNK", 1)

    def chunks(rows: Any) -> Any:
        source = real(rows)
        yield next(source)
        happens()
        yield from source

    monkeypatch.setattr(reckoning, "chunks", chunks)


def test_a_worker_that_was_overtaken_writes_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        make_conversation(project)
    report = ask(project)
    interrupted(monkeypatch, lambda: Report.objects.filter(pk=report.pk).update(attempts=2))
    assert (made(report).state, report.result) == ("running", None)


def test_one_that_is_deleted_while_it_is_made_is_gone(
    project: Project, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        make_conversation(project)
    report = ask(project)
    interrupted(monkeypatch, lambda: reports.delete_report(report=Report.objects.get(pk=report.pk), actor=owner))
    tasks.make_report(report.pk)
    assert not Report.objects.exists()


def test_a_tick_reminds_of_reports_that_nobody_holds(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    make_conversation(project)
    report = ask(project)
    sent: list[Any] = []
    monkeypatch.setattr(tasks.make_report, "apply_async", lambda arguments, **_: sent.append(arguments))
    tasks.tick()
    made(report)
    tasks.tick()
    assert sent == [(report.pk,)]


def test_nothing_to_report_on_is_refused(project: Project) -> None:
    with pytest.raises(Refused, match="Nothing matches"):
        ask(project)


# -- the API ------------------------------------------------------------------------------------------------------------


def test_a_program_asks_for_a_report_reads_it_and_takes_the_file(project: Project, teammate: User) -> None:
    make_conversation(project, "How?", "So.", status="approved")
    make_conversation(project)
    program = Program.of(teammate)
    asked = program.post(API, {"filter": {"status": "approved"}})
    assert (asked["state"], asked["rows"], asked["result"]) == ("waiting", 1, None)
    path = f"{API}/{asked['id']}"
    assert "nothing to download yet" in refusal(program.call("GET", f"{path}/file"), 422)
    tasks.make_report(asked["id"])
    assert program.get(path)["result"]["summary"]["words"] == 2
    assert b"<svg" in program.call("GET", f"{path}/file").content
    [listed] = program.get(API)["items"]
    assert (listed["state"], "result" in listed) == ("done", False)
    program.delete(path)
    assert not Report.objects.exists()


def test_programs_of_annotators_read_those_of_strangers_find_nothing(
    project: Project, owner: User, annotator: User, stranger: User
) -> None:
    make_conversation(project)
    report = made(ask(project, owner))
    assert Program.of(annotator).get(f"{API}/{report.pk}")["state"] == "done"
    refusal(Program.of(annotator).call("POST", API, {}), 403)
    refusal(Program.of(annotator).call("DELETE", f"{API}/{report.pk}"), 403)
    for method, path in (
        ("GET", API),
        ("POST", API),
        ("GET", f"{API}/{report.pk}"),
        ("GET", f"{API}/{report.pk}/file"),
    ):
        refusal(Program.of(stranger).call(method, path, {} if method == "POST" else None), 404)
    refusal(Program.of(owner).call("POST", API, {"filter": {"statsu": "approved"}}), 422)
