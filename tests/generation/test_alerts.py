"""Alert rules: when they speak, when they are silent, and what people do with what they say."""

from __future__ import annotations

import threading
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
from generation.engine.protocols import Failed
from generation.models import Alert, AlertRule, Call, Run
from generation.services.monitoring import alerts
from generation.tasks import look_for_alerts
from tests.api_program import Program
from tests.generation.runs import landed, launched, made
from tests.generation.watched import called, ended, judged, later, rule, watched

ClientOf = Callable[[User], Client]
pytestmark = pytest.mark.django_db
Kind = AlertRule.Kind


def standing(project: Project) -> set[str]:
    return set(project.alerts.standing().values_list("rule__kind", flat=True))


def at(project: Project, name: str, *more: object) -> str:
    return reverse(f"generation:{name}", args=[project.slug, *more])


# -- silence ------------------------------------------------------------------------------------------------------------


def test_one_error_among_a_hundred_raises_nothing(project: Project) -> None:
    watched(project, done=99, failed=1)
    look_for_alerts()
    assert standing(project) == set()


@pytest.mark.parametrize("done", [0, 1, 4])
def test_one_error_alone_raises_nothing_however_strict_the_rules_are(project: Project, done: int) -> None:
    rule(project, Kind.HIGH_ERROR_RATE, threshold=0, min_samples=1)
    rule(project, Kind.LOW_SUCCESS_RATE, threshold=1, min_samples=1)
    watched(project, done=done, failed=1)
    look_for_alerts()
    assert standing(project) == set()


def test_an_empty_window_raises_nothing(project: Project) -> None:
    launched(project)
    watched(project, failed=10, ago=timedelta(minutes=6))
    look_for_alerts()
    assert standing(project) == set()


def test_a_project_in_which_nothing_goes_on_is_not_looked_at(project: Project) -> None:
    run = watched(project, failed=10)
    Call.objects.update(created=timezone.now() - timedelta(hours=1))
    Run.objects.filter(pk=run.pk).update(state="failed", finished=timezone.now() - timedelta(minutes=11))
    look_for_alerts()
    assert not AlertRule.objects.filter(project=project).exists()
    assert standing(project) == set()


def test_ordinary_runs_of_four_turns_raise_nothing(project: Project) -> None:
    run = watched(project, done=10, max_turns=4)
    run.batch.conversations.update(turns=4)
    look_for_alerts()
    assert standing(project) == set()
    rule(project, Kind.LONG_CONVERSATIONS, active=True)
    look_for_alerts()
    assert standing(project) == {Kind.LONG_CONVERSATIONS}


# -- what is broken -----------------------------------------------------------------------------------------------------


def test_failed_conversations_raise_low_success_and_high_error_rate(project: Project) -> None:
    run = watched(project, done=1, failed=9)
    look_for_alerts()
    low, high = project.alerts.order_by("rule__kind").all()[::-1]
    assert (low.rule.kind, low.run, low.severity, low.value) == ("low_success_rate", run, "warning", 0.1)
    assert "Only 10 % of 10 conversations succeeded in the last 5 minutes; at least 80 % should." in low.sentence
    assert (high.rule.kind, high.severity, high.value) == ("high_error_rate", "error", 0.9)


def test_attempts_that_will_be_made_again_count_as_errors_too(project: Project) -> None:
    run = watched(project, done=2, conversations=20)
    run.slots.filter(index__gte=10).update(state="pending", error_kind="transient", updated=timezone.now())
    look_for_alerts()
    assert standing(project) == {Kind.HIGH_ERROR_RATE}


def test_what_workers_land_is_what_the_rules_see(project: Project) -> None:
    run = launched(project, conversations=12)
    passing, final = Failed("transient", "The server failed (503)."), Failed("dialog", "No usable reply.")
    landed(run, made(judged=0.9), made(), final, final, final, passing, passing)
    look_for_alerts()
    assert standing(project) == {Kind.LOW_SUCCESS_RATE, Kind.HIGH_ERROR_RATE}
    low = project.alerts.get(rule__kind=Kind.LOW_SUCCESS_RATE)
    high = project.alerts.get(rule__kind=Kind.HIGH_ERROR_RATE)
    assert (low.value, high.value) == (2 / 5, 5 / 7)


def test_no_rule_speaks_where_all_are_off(project: Project) -> None:
    rule(project, Kind.SPENDING)
    AlertRule.objects.update(active=False)
    watched(project, failed=20)
    look_for_alerts()
    assert standing(project) == set()


def slow(run: Run) -> None:
    for slot in range(5):
        called(run, slot=slot, latency_ms=20_000)
        called(run, slot=slot, operation="question", latency_ms=15_000)


def judge_fails(run: Run) -> None:
    for index in range(6):
        ended(run, index)
        judged(run, index, **({"error": "No JSON."} if index < 2 else {"overall": 0.5}))


def tokens(**counts: int) -> Callable[[Run], None]:
    return lambda run: [called(run, slot=slot, **counts) for slot in range(10)] and None


def spends(run: Run) -> None:
    called(run, cost=Decimal(20), ago=timedelta(hours=20))
    called(run, cost=Decimal(6))


def budget(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(
        spec={**run.spec, "budget": {"tokens": 1000, "money": None}}, prompt_tokens=801
    )


@pytest.mark.parametrize(
    ("kind", "happens", "said"),
    [
        (Kind.SLOW_GENERATION, slow, "took the models 35 s on average"),
        (Kind.PROMPT_TOKENS, tokens(prompt_tokens=5_000, completion_tokens=0), "prompts of 5\u202f000 tokens"),
        (Kind.COMPLETION_TOKENS, tokens(prompt_tokens=0, completion_tokens=5_000), "replies of 5\u202f000 tokens"),
        (Kind.TOTAL_TOKENS, tokens(prompt_tokens=4_096, completion_tokens=4_097), "took 8\u202f193 tokens on average"),
        (Kind.EVALUATION_ERROR_RATE, judge_fails, "failed on 33.3 % of 6 conversations"),
        (Kind.SPENDING, spends, "$26 were spent in the last day"),
        (Kind.BUDGET, budget, "80.1 % of the run's budget are used"),
    ],
)
def test_each_kind_of_rule_speaks_of_what_it_looks_at(
    project: Project, kind: str, happens: Callable[[Run], None], said: str
) -> None:
    AlertRule.objects.exclude(pk=rule(project, kind).pk).update(active=False)
    run = launched(project, conversations=12)
    happens(run)
    look_for_alerts()
    (alert,) = project.alerts.all()
    assert (alert.rule.kind, alert.run) == (kind, None if kind == Kind.SPENDING else run)
    assert said in alert.sentence


def test_too_few_samples_say_nothing(project: Project) -> None:
    AlertRule.objects.exclude(pk=rule(project, Kind.LOW_SUCCESS_RATE, min_samples=10).pk).update(active=False)
    run = watched(project, failed=9, conversations=20)
    look_for_alerts()
    assert standing(project) == set()
    ended(run, 9, failed=True)
    look_for_alerts()
    assert standing(project) == {Kind.LOW_SUCCESS_RATE}


def test_the_threshold_and_the_window_are_those_of_the_project(project: Project, stranger: User) -> None:
    other = stranger.projects.get()
    for one in (project, other):
        watched(one, done=7, failed=3, ago=timedelta(minutes=8))
    rule(project, Kind.HIGH_ERROR_RATE, window=10)
    rule(project, Kind.LOW_SUCCESS_RATE, window=10, threshold=0.6)
    look_for_alerts()
    assert standing(project) == {Kind.HIGH_ERROR_RATE}
    assert standing(other) == set()


def test_a_rule_that_is_switched_off_is_silent_and_its_alert_is_over(
    project: Project, owner: User, client_of: ClientOf
) -> None:
    watched(project, failed=6)
    look_for_alerts()
    assert Kind.LOW_SUCCESS_RATE in standing(project)
    answer = client_of(owner).post(at(project, "alert-rules"), typed(project, low_success_rate={"active": ""}))
    assert answer.status_code == 302
    assert Kind.LOW_SUCCESS_RATE not in standing(project)
    look_for_alerts()
    assert Kind.LOW_SUCCESS_RATE not in standing(project)
    assert Kind.HIGH_ERROR_RATE in standing(project)


# -- one alert for one trouble ------------------------------------------------------------------------------------------


def test_a_trouble_that_lasts_is_one_alert_that_is_counted_up(project: Project) -> None:
    watched(project, failed=6)
    for minute in range(4):
        alerts.look(now=later(minute))
    alert = project.alerts.get(rule__kind=Kind.LOW_SUCCESS_RATE)
    assert alert.count == 4
    assert timedelta(minutes=2.9) < alert.last_seen - alert.began < timedelta(minutes=3.1)


def test_an_alert_ends_when_its_rule_holds_again_even_after_the_run(project: Project) -> None:
    run = watched(project, failed=6)
    look_for_alerts()
    Run.objects.filter(pk=run.pk).update(state="failed", finished=timezone.now())
    alerts.look(now=later(30))
    assert standing(project) == set()
    assert set(project.alerts.values_list("ended", flat=True)) != {None}
    assert project.alerts.unseen().count() == 2


def test_a_trouble_that_comes_back_soon_is_the_same_alert_and_later_a_new_one(project: Project) -> None:
    run = watched(project, failed=6)
    look_for_alerts()
    alerts.look(now=later(6))
    assert standing(project) == set()
    run.slots.update(updated=later(7))
    alerts.look(now=later(8))
    assert project.alerts.filter(rule__kind=Kind.LOW_SUCCESS_RATE).count() == 1
    alerts.look(now=later(20))
    run.slots.update(updated=later(60))
    alerts.look(now=later(61))
    assert project.alerts.filter(rule__kind=Kind.LOW_SUCCESS_RATE).count() == 2
    assert project.alerts.standing().filter(rule__kind=Kind.LOW_SUCCESS_RATE).count() == 1


def test_two_runs_in_trouble_are_two_alerts(project: Project) -> None:
    runs = {watched(project, failed=6).pk, watched(project, failed=6).pk}
    look_for_alerts()
    assert set(project.alerts.filter(rule__kind=Kind.LOW_SUCCESS_RATE).values_list("run", flat=True)) == runs


@pytest.mark.django_db(transaction=True)
def test_looks_at_the_same_time_raise_an_alert_once(project: Project) -> None:
    watched(project, failed=6)

    def look() -> None:
        for _ in range(5):
            look_for_alerts()
        connection.close()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(project.alerts.values_list("rule__kind", flat=True)) == ["high_error_rate", "low_success_rate"]


def test_a_look_asks_as_many_questions_for_many_runs_as_for_one(project: Project) -> None:
    counts = []
    for _ in range(2):
        watched(project, done=3)
        look_for_alerts()
        with CaptureQueriesContext(connection) as asked:
            look_for_alerts()
        counts.append(len(asked))
        for _ in range(4):
            watched(project, done=3)
    assert counts[0] == counts[1] < 25


# -- pages --------------------------------------------------------------------------------------------------------------


def typed(project: Project, **changes: dict[str, str]) -> dict[str, str]:
    """The form of the rules as a browser sends it, with some fields changed; an empty one is left out."""
    rows = {str(row.kind): row for row in [rule(project, kind) for kind in Kind.values]}
    said = {}
    for kind, row in rows.items():
        share = kind in ("low_success_rate", "high_error_rate", "evaluation_error_rate", "budget")
        values = {
            "active": "on" if row.active else "", "threshold": str(row.threshold * (100 if share else 1)),
            "window": str(row.window), "min_samples": str(row.min_samples), "severity": row.severity,
            **changes.get(kind, {}),
        }  # fmt: skip
        said |= {f"{kind}-{name}": value for name, value in values.items() if value}
    return said


def test_curators_change_the_rules_and_a_share_is_typed_as_a_percentage(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    client = client_of(teammate)
    shown = client.get(at(project, "alert-rules")).content.decode()
    assert 'name="low_success_rate-threshold" value="80' in shown
    data = typed(project, low_success_rate={"threshold": "92.5", "window": "15"}, spending={"threshold": "3"})
    assert client.post(at(project, "alert-rules"), data).status_code == 302
    changed = rule(project, "low_success_rate")
    assert (changed.threshold, changed.window) == (0.925, 15)
    assert rule(project, "spending").threshold == 3
    assert "changed the alert rules" in project.activities.first().text


@pytest.mark.parametrize(
    ("field", "value"),
    [("threshold", "120"), ("threshold", "-1"), ("threshold", "nan"), ("window", "0"), ("window", "9" * 9)],
)
def test_a_rule_that_makes_no_sense_is_refused_and_nothing_is_saved(
    project: Project, owner: User, client_of: ClientOf, field: str, value: str
) -> None:
    data = typed(project, high_error_rate={field: value}, spending={"threshold": "3"})
    answer = client_of(owner).post(at(project, "alert-rules"), data)
    assert answer.status_code == 422
    assert "Nothing is saved yet" in answer.content.decode()
    assert rule(project, "spending").threshold == 25
    assert rule(project, "high_error_rate").threshold == 0.2


def test_an_alert_stands_on_the_page_of_its_run_and_in_the_bell_until_somebody_has_seen_it(
    project: Project, annotator: User, client_of: ClientOf
) -> None:
    run = watched(project, failed=6)
    look_for_alerts()
    client = client_of(annotator)
    for name in ("run-detail", "run-metrics", "run-alerts"):
        assert "Few conversations succeed" in client.get(at(project, name, run.pk)).content.decode()
    assert "</svg> 2<" in client.get(at(project, "alert-count")).content.decode()
    one = project.alerts.get(rule__kind=Kind.LOW_SUCCESS_RATE)
    answer = client.post(at(project, "alert-acknowledge"), {"alert": one.pk, "run": run.pk})
    assert answer["Location"] == at(project, "run-detail", run.pk)
    one.refresh_from_db()
    assert one.acknowledged_by == annotator
    assert "Few conversations succeed" not in client.get(at(project, "run-alerts", run.pk)).content.decode()
    assert "Few conversations succeed" in client.get(at(project, "alert-list")).content.decode()
    client.post(at(project, "alert-acknowledge"))
    assert "<a" not in client.get(at(project, "alert-count")).content.decode()
    alerts.look(now=later(1))
    assert not project.alerts.unseen().exists()


def test_each_role_does_what_it_may_and_strangers_nothing(
    project: Project, owner: User, teammate: User, annotator: User, stranger: User, client_of: ClientOf
) -> None:
    run = watched(project, failed=6)
    look_for_alerts()
    for name, more in (("alert-list", []), ("alert-rules", []), ("alert-channels", []), ("run-alerts", [run.pk])):
        assert client_of(annotator).get(at(project, name, *more)).status_code == 200
        assert client_of(stranger).get(at(project, name, *more)).status_code == 404
    hook = {"url": "https://hooks.example.org/x", "active": "on"}
    may = [
        ("alert-rules", [], typed(project), 302, 302, 403),
        ("alert-webhook", [], hook, 200, 403, 403),
        ("alert-webhook-action", ["test"], {}, 302, 403, 403),
        ("alert-acknowledge", [], {}, 302, 302, 302),
    ]
    for name, more, data, as_owner, as_curator, as_annotator in may:
        for user, status in ((owner, as_owner), (teammate, as_curator), (annotator, as_annotator), (stranger, 404)):
            assert client_of(user).post(at(project, name, *more), data).status_code == status, (name, user)


def test_programs_read_alerts_change_rules_and_acknowledge(project: Project, owner: User) -> None:
    watched(project, failed=6)
    look_for_alerts()
    program = Program.of(owner)
    alert = program.get(f"/projects/{project.slug}/alerts")["items"][0]
    assert (alert["kind"], alert["ended"], alert["acknowledged"]) == ("high_error_rate", None, None)
    assert program.post(f"/projects/{project.slug}/alerts/{alert['id']}/acknowledge")["acknowledged"]
    rules = {one["kind"]: one for one in program.get(f"/projects/{project.slug}/alert-rules")}
    assert rules["long_conversations"]["active"] is False
    path = f"/projects/{project.slug}/alert-rules/{rules['low_success_rate']['id']}"
    assert program.call("PATCH", path, {"threshold": 0.5, "active": False}).status_code == 200
    assert (rule(project, "low_success_rate").threshold, rule(project, "low_success_rate").window) == (0.5, 5)
    assert Kind.LOW_SUCCESS_RATE not in standing(project)
    assert program.call("PATCH", path, {"window": 0}).status_code == 422


def test_nobody_acknowledges_an_alert_of_another_project(project: Project, stranger: User, client_of: ClientOf) -> None:
    watched(project, failed=6)
    look_for_alerts()
    mine, alert = stranger.projects.get(), project.alerts.first()
    assert client_of(stranger).post(at(mine, "alert-acknowledge"), {"alert": alert.pk}).status_code == 404
    assert client_of(stranger).post(at(mine, "alert-acknowledge"), {"alert": "x"}).status_code == 404
    client_of(stranger).post(at(mine, "alert-acknowledge"))
    assert Alert.objects.unseen().filter(project=project).count() == 2
