"""Metrics of runs and projects: the numbers, the pages, and the ledger as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from datasets.models import Project, User
from generation.models import Call, Endpoint, Run
from generation.presenters.metrics import seconds
from generation.services.monitoring import metrics
from generation.services.monitoring.metrics import Metrics
from generation.services.monitoring.numbers import together
from tests.api_program import Program
from tests.factories import make_project
from tests.generation.runs import launched
from tests.generation.watched import called, ended, judged, watched

ClientOf = Callable[[User], Client]
pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def of_run(run: Run) -> Metrics:
    run.refresh_from_db()
    return metrics.metrics_of(metrics.scope_of_run(run))


def of_project(project: Project, span: timedelta = DAY, **narrower: object) -> Metrics:
    return metrics.metrics_of(metrics.scope_of_project(project.pk, span, **narrower))


def plain(text: str) -> str:
    """With ordinary spaces, and one where there are several."""
    return " ".join(text.replace("\u202f", " ").replace("\xa0", " ").replace("\u2009", " ").split())


def page(client: Client, name: str, *args: object, **query: object) -> str:
    answer = client.get(reverse(f"generation:{name}", args=args), query)
    assert answer.status_code == 200
    return plain(answer.content.decode())


# -- numbers ------------------------------------------------------------------------------------------------------------


def test_one_error_among_a_hundred_is_an_error_rate_of_one_percent(project: Project) -> None:
    found = of_run(watched(project, done=99, failed=1)).ended
    assert (found.success_rate, found.error_rate) == (0.99, 0.01)


def test_where_nothing_ended_there_is_no_rate_at_all(project: Project) -> None:
    found = of_run(launched(project))
    assert found.is_empty
    assert (found.ended.success_rate, found.ended.error_rate, found.judgements.error_rate) == (None, None, None)
    assert found.of_calls(lambda group: group.latency).mean is None


def test_an_attempt_that_will_be_made_again_is_an_error_and_no_failed_conversation(project: Project) -> None:
    run = watched(project, done=3)
    run.slots.filter(index=3).update(state="pending", error_kind="transient", error="503", updated=timezone.now())
    found = of_run(run).ended
    assert (found.success_rate, found.error_rate) == (1.0, 0.25)
    assert found.errors == {"transient": 1}


def test_the_generation_of_a_conversation_is_the_time_of_all_its_calls_but_the_judges(project: Project) -> None:
    run = launched(project, conversations=2)
    called(run, slot=0, operation="instruction", latency_ms=500)
    called(run, slot=0, latency_ms=2500)
    called(run, slot=0, operation="judge", latency_ms=9000)
    called(run, slot=1, latency_ms=1000)
    found = of_run(run)
    taken = together(found.generation.values())
    assert (taken.count, taken.mean, taken.low, taken.high) == (2, 2.0, 1.0, 3.0)
    assert (found.judging.count, found.judging.mean) == (1, 9.0)
    assert sum(found.durations) == 2


def test_tokens_tries_and_money_are_counted_by_model_and_operation(project: Project) -> None:
    run = launched(project)
    called(run, model="small", prompt_tokens=10, completion_tokens=5, cost=Decimal("0.10"))
    called(run, model="small", prompt_tokens=30, completion_tokens=15, cost=Decimal("0.20"), tries=3)
    called(run, model="large", operation="judge", prompt_tokens=7, completion_tokens=1, cost=Decimal("0.70"))
    found = of_run(run)
    tokens = found.of_calls(lambda group: group.tokens)
    assert (tokens.count, tokens.total, tokens.low, tokens.high) == (3, 68, 8, 45)
    assert (found.calls, found.tries, found.retried, found.money) == (3, 5, 1, Decimal("1.00"))
    by_model = {model: sum(one.money for one in ones) for model, ones in found.by(lambda group: group.model).items()}
    assert by_model == {"small": Decimal("0.30"), "large": Decimal("0.70")}


def test_calls_are_counted_by_why_their_replies_ended_but_for_embeddings_which_do_not(project: Project) -> None:
    run = launched(project)
    for finish in ("stop", "stop", "length", "", "content_filter", "stop"):
        called(run, finish=finish)
    called(run, operation="embedding")
    called(run, finish="length", model="small", ago=timedelta(hours=3))
    hour = of_project(project, timedelta(hours=1)).finishes
    assert list(hour.items()) == [("stop", 3), ("", 1), ("content_filter", 1), ("length", 1)]
    assert of_project(project, model="small").finishes == {"length": 1}


def test_a_server_with_a_new_word_for_each_reply_fills_no_page(project: Project) -> None:
    run = launched(project)
    Call.objects.bulk_create(
        Call(project=project, run=run, operation="answer", model="m", finish=f"word {number}") for number in range(50)
    )
    called(run, finish="stop")
    called(run, finish="stop")
    found = of_run(run).finishes
    assert (len(found), found["stop"], found["others"]) == (metrics.WORDS + 1, 2, 50 - metrics.WORDS + 1)


def test_scores_are_by_criterion_and_a_failed_judge_is_a_failure_without_a_score(project: Project) -> None:
    run = watched(project, done=3)
    judged(run, 0, overall=0.8, grounding=0.6, factuality=1.0)
    judged(run, 1, overall=0.4, grounding=None, factuality=0.5)
    judged(run, 2, error="No JSON in the reply.")
    found = of_run(run).judgements
    assert (found.count, found.failed) == (3, 1)
    assert found.scores[""].mean == pytest.approx(0.6)
    assert (found.scores["grounding"].count, found.scores["grounding"].mean) == (1, 0.6)
    assert found.scores["factuality"].mean == 0.75


def test_conversations_have_the_turns_that_were_really_said(project: Project) -> None:
    assert of_run(watched(project, done=2)).ended.turns.mean == 1.0


def test_a_window_counts_what_lies_in_it_and_nothing_else(project: Project, stranger: User) -> None:
    run = watched(project, done=2)
    called(run, ago=timedelta(hours=3), model="old")
    called(launched(stranger.projects.get()), model="foreign")
    hour, day = of_project(project, timedelta(hours=1)), of_project(project)
    assert (hour.calls, day.calls) == (2, 3)
    assert {group.model for group in day.groups} == {"test-model", "old"}
    assert of_project(project, model="old").calls == 1
    assert of_project(project, run=launched(project).pk).is_empty


def test_every_row_falls_into_one_of_the_points_of_the_charts(project: Project) -> None:
    run = launched(project)
    for minutes in range(0, 24 * 60, 7):
        called(run, ago=timedelta(minutes=minutes))
    for span in (timedelta(hours=1), DAY, timedelta(days=7), timedelta(days=30)):
        found = of_project(project, span)
        points = found.scope.points()
        assert found.calls == min(int(span.total_seconds() // 420) + 1, 206)
        assert {group.at for group in found.groups} <= set(points)
        assert len(points) <= metrics.POINTS + 2


def test_money_is_summed_by_day_in_the_time_zone_of_the_pages(project: Project) -> None:
    run = launched(project)
    called(run, cost=Decimal("1.5"))
    called(run, cost=Decimal("2"), ago=timedelta(days=2))
    spent = metrics.money_by_day(of_project(project, timedelta(days=7)))
    today = timezone.localtime().date()
    assert (spent[today], spent[today - DAY], spent[today - 2 * DAY]) == (Decimal("1.5"), 0, Decimal("2"))


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Asia/Kolkata", "Pacific/Auckland"])
def test_no_call_is_lost_where_clocks_are_changed(project: Project, zone: str) -> None:
    """There are two such nights a year; thirteen windows of thirty days hold both."""
    run = launched(project)
    for hours in range(0, 400 * 24, 13):
        called(run, ago=timedelta(hours=hours))
    with timezone.override(zone):
        for month in range(13):
            until = timezone.now() - timedelta(days=30 * month)
            found = metrics.metrics_of(metrics.Scope(project.pk, until - timedelta(days=30), until))
            assert {group.at for group in found.groups} <= set(found.scope.points())
            spent = metrics.money_by_day(found)
            assert sum(spent.values()) == found.money == Decimal("0.01") * found.calls
            assert len(spent) == 31


def test_a_poll_brings_the_metrics_without_the_frame(project: Project, owner: User, client_of: ClientOf) -> None:
    run = watched(project, done=2)
    for address in (
        reverse("generation:run-metrics", args=[project.slug, run.pk]),
        reverse("generation:monitoring", args=[project.slug]) + "?span=hour",
    ):
        part = client_of(owner).get(address, headers={"HX-Request": "true"}).content.decode()
        assert part.lstrip().startswith('<div class="stack" id="metrics"')
        assert "<html" not in part


def test_a_page_of_very_many_calls_is_there_before_its_numbers(
    project: Project, owner: User, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = watched(project, done=2)
    Run.objects.filter(pk=run.pk).update(calls=2)
    monkeypatch.setattr(metrics, "MANY", 2)
    for address in (
        reverse("generation:run-metrics", args=[project.slug, run.pk]),
        reverse("generation:monitoring", args=[project.slug]),
    ):
        shown = client_of(owner).get(address).content.decode()
        assert f'hx-get="{address}" hx-trigger="load"' in shown
        assert "Success and error rate" not in shown
        for asked in (
            client_of(owner).get(address, headers={"HX-Request": "true"}),
            client_of(owner).get(address, {"whole": 1}),
        ):
            assert "Success and error rate" in asked.content.decode()


def test_a_project_names_its_runs_and_what_was_spent_outside_of_them(project: Project) -> None:
    run = watched(project, done=3, failed=1)
    Call.objects.create(project=project, operation="persona", model="m", cost=Decimal("0.5"))
    outside, mine = metrics.runs_in(metrics.scope_of_project(project.pk, DAY))
    assert (outside.run, outside.money) == (None, Decimal("0.5"))
    assert (mine.run, mine.calls, mine.tokens, mine.outcomes.success_rate) == (run, 4, 480, 0.75)


# -- pages --------------------------------------------------------------------------------------------------------------


def test_the_run_page_leads_to_its_metrics_which_are_charts_and_a_table(
    project: Project, owner: User, client_of: ClientOf
) -> None:
    run = watched(project, done=9, failed=1)
    judged(run, 0, overall=0.8, grounding=0.6)
    client = client_of(owner)
    assert reverse("generation:run-metrics", args=[project.slug, run.pk]) in page(
        client, "run-detail", project.slug, run.pk
    )
    shown = page(client, "run-metrics", project.slug, run.pk)
    assert shown.count("<svg") > 6
    for said in (
        "90 %",
        "10 %",
        "Success and error rate",
        "Tokens a call, on average",
        "Score: grounding",
        "test-model",
        "Calls by why the reply ended",
        "not said",
    ):
        assert said in shown
    assert 'hx-trigger="every 5s"' in shown
    assert "<style" not in shown
    assert " style=" not in shown


def test_parts_of_a_second_on_an_axis_are_told_apart() -> None:
    assert [seconds(tick) for tick in (0, 0.025, 0.05, 0.15, 0.348, 1, 2.5, 30)] == [
        *("0 s", "0.025 s", "0.05 s", "0.15 s", "0.35 s", "1 s", "2.5 s", "30 s")
    ]


def test_metrics_of_a_run_with_nothing_yet_say_so_and_go_on_looking(
    project: Project, owner: User, client_of: ClientOf
) -> None:
    run = launched(project)
    shown = page(client_of(owner), "run-metrics", project.slug, run.pk)
    assert "Nothing yet" in shown
    assert 'hx-trigger="every 5s"' in shown
    Run.objects.filter(pk=run.pk).update(state="cancelled", finished=timezone.now())
    assert 'hx-trigger="every 5s"' not in page(client_of(owner), "run-metrics", project.slug, run.pk)


def test_what_landed_after_a_run_was_stopped_is_still_in_its_metrics(project: Project) -> None:
    run = watched(project, done=2)
    Run.objects.filter(pk=run.pk).update(state="stopped", finished=timezone.now() - timedelta(minutes=1))
    assert of_run(run).calls == 2


def test_the_dashboard_is_one_of_four_spans_and_can_be_narrowed(
    project: Project, owner: User, client_of: ClientOf
) -> None:
    run = watched(project, done=2)
    server = Endpoint.objects.create(project=project, name="Our server", preset="custom", base_url="http://x/v1")
    called(run, endpoint=server, model="narrow-model")
    client = client_of(owner)
    for span in ("hour", "day", "week", "month"):
        assert "narrow-model" in page(client, "monitoring", project.slug, span=span)
    narrowed = page(client, "monitoring", project.slug, endpoint=server.pk)
    assert "Our server" in narrowed
    assert "Conversations and judgements are not shown" in narrowed
    assert "Success and error rate" not in narrowed
    assert "Nothing went on" in page(client, "monitoring", project.slug, model="no such")
    assert client.get(reverse("generation:monitoring", args=[project.slug]), {"span": "year"}).status_code == 422
    assert client.get(reverse("generation:monitoring", args=[project.slug]), {"run": "x"}).status_code == 422


def test_members_read_metrics_and_strangers_find_nothing(
    project: Project, annotator: User, stranger: User, client_of: ClientOf
) -> None:
    run = watched(project, done=1)
    addresses = [
        reverse("generation:run-metrics", args=[project.slug, run.pk]),
        reverse("generation:monitoring", args=[project.slug]),
        reverse("generation:ledger-file", args=[project.slug]),
    ]
    for address in addresses:
        assert client_of(annotator).get(address).status_code == 200
        assert client_of(stranger).get(address).status_code == 404
        assert Client().get(address).status_code == 302
    mine = stranger.projects.get().slug
    assert client_of(stranger).get(reverse("generation:run-metrics", args=[mine, run.pk])).status_code == 404
    assert client_of(stranger).get(reverse("generation:monitoring", args=[mine]), {"run": run.pk}).status_code == 422


def test_a_name_that_is_markup_is_text_on_the_metrics_pages(project: Project, owner: User, client_of: ClientOf) -> None:
    run = watched(project, done=1, name="<b>run</b>")
    called(run, model="<script>alert(1)</script>", finish="<script>alert(2)</script>")
    for shown in (
        page(client_of(owner), "run-metrics", project.slug, run.pk), page(client_of(owner), "monitoring", project.slug)
    ):  # fmt: skip
        assert "<script>alert" not in shown
        assert "<b>run" not in shown


def test_a_page_of_metrics_asks_as_many_questions_whatever_there_is(
    project: Project, owner: User, client_of: ClientOf
) -> None:
    client, counts = client_of(owner), []
    run = watched(project, done=2)
    for _ in range(2):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            page(client, "run-metrics", project.slug, run.pk)
        counts.append(len(asked))
        for number in range(20):
            called(run, model=f"model-{number}")
    assert counts[0] == counts[1]


# -- for programs -------------------------------------------------------------------------------------------------------


def test_programs_read_metrics_of_a_project_and_of_a_run(project: Project, owner: User) -> None:
    run = watched(project, done=3, failed=1)
    run.ledger.filter(slot=3).update(finish="length")
    judged(run, 0, overall=0.5, grounding=0.25)
    program = Program.of(owner)
    for path in ("metrics?span=hour", f"metrics?run={run.pk}", f"runs/{run.pk}/metrics"):
        found = program.get(f"/projects/{project.slug}/{path}")
        assert (found["success_rate"], found["error_rate"], found["cost"]) == (0.75, 0.25, "0.040000")
        assert found["measures"]["generation_time"] == {"count": 4, "mean": 1.5, "min": 1.5, "max": 1.5}
        assert found["measures"]["evaluation_score_grounding"]["mean"] == 0.25
        assert found["usage"][0]["calls"] == 4
        assert {"prompt_tokens", "completion_tokens", "cost"} <= found["usage"][0].keys()
        assert found["finish_reasons"] == {"": 3, "length": 1}
    assert program.call("GET", f"/projects/{project.slug}/metrics", span="year").status_code == 422


def test_programs_read_the_calls_that_were_counted(project: Project, owner: User) -> None:
    run = watched(project, done=3)
    answer = Program.of(owner).call("GET", f"/projects/{project.slug}/calls", run=run.pk)
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert len(rows) == run.ledger.count()
    assert {row["run"] for row in rows} == {str(run.pk)}


def test_a_program_learns_nothing_of_a_run_of_another_project(project: Project, stranger: User) -> None:
    run, mine = watched(project, done=3), stranger.projects.get()
    found = Program.of(stranger).get(f"/projects/{mine.slug}/metrics", run=run.pk)
    assert (found["calls"], found["done"], found["measures"]) == (0, 0, {})


# -- the ledger ---------------------------------------------------------------------------------------------------------


def lines_of(client: Client, project: Project, **query: object) -> list[dict[str, str]]:
    answer = client.get(reverse("generation:ledger-file", args=[project.slug]), query)
    assert answer.status_code == 200
    assert answer.streaming
    return list(csv.DictReader(io.StringIO(answer.getvalue().decode())))


def test_the_ledger_comes_as_a_file_with_a_line_a_call(project: Project, owner: User, client_of: ClientOf) -> None:
    run = launched(project)
    called(run, model='a, "b"\nc', cost=Decimal("0.123456"))
    called(run, model="old", ago=timedelta(days=3))
    called(launched(make_project(owner)), model="of another project")
    (line,) = lines_of(client_of(owner), project)
    assert (line["run"], line["model"], line["cost"]) == (str(run.pk), 'a, "b"\nc', "0.123456")
    assert {one["model"] for one in lines_of(client_of(owner), project, span="week")} == {'a, "b"\nc', "old"}
    assert [one["model"] for one in lines_of(client_of(owner), project, span="week", model="old")] == ["old"]


def test_no_line_of_the_ledger_is_a_formula(project: Project, owner: User, client_of: ClientOf) -> None:
    called(launched(project), model="=HYPERLINK(1)", finish="@SUM(1)")
    (line,) = lines_of(client_of(owner), project)
    assert (line["model"], line["finish"]) == ("'=HYPERLINK(1)", "'@SUM(1)")


def test_a_long_ledger_is_read_in_chunks_and_each_call_is_in_it_once(
    project: Project, owner: User, client_of: ClientOf
) -> None:
    run = launched(project)
    Call.objects.bulk_create(Call(project=project, run=run, operation="answer", model="m") for _ in range(4_500))
    with CaptureQueriesContext(connection) as asked:
        lines = lines_of(client_of(owner), project)
    assert len({line["id"] for line in lines}) == 4_500
    assert sum("LIMIT 2000" in query["sql"] and "generation_call" in query["sql"] for query in asked) == 4


def test_a_slot_of_another_kind_of_error_is_named_by_its_kind(
    project: Project, owner: User, client_of: ClientOf
) -> None:
    run = watched(project, done=1)
    ended(run, 1, failed=True, kind="transient")
    assert "Server or network" in page(client_of(owner), "run-metrics", project.slug, run.pk)
