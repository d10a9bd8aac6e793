"""The watch over runs: which rules are broken now, and the alerts that follow. At most one stands for a rule and a run.

Nothing is remembered between two looks but the rows, so that any worker may look at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from datasets.models import Project, User
from generation.models import Alert, AlertRule, Call, Run
from generation.services.monitoring.delivery import announce
from generation.services.monitoring.facts import Facts, facts_of, spent_by
from generation.services.monitoring.kinds import KINDS, OF_THE_PROJECT, WITHOUT_WINDOW
from generation.services.monitoring.metrics import ASIDE
from generation.services.monitoring.rules import give_rules

LATELY = timedelta(minutes=10)
"""A run is looked at for so long after its end, and an alert that comes back within that time is the same one."""
LOCKS = 0x0A1E
"""Namespace of the advisory lock taken here."""

Key = tuple[int, int | None]
"""A rule and a run, or None for the project."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule."""

    rule: AlertRule
    run: int | None
    value: float
    sentence: str


@transaction.atomic
def look(*, now: datetime | None = None) -> None:
    """One pass over all projects in which something goes on. Of two at the same time, one does nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, 0)", [LOCKS])
        if not cursor.fetchone()[0]:
            return
    now = now or timezone.now()
    projects = list(_watched(now).values_list("pk", flat=True))
    if projects:
        give_rules(projects)
        _apply(projects, {(one.rule.pk, one.run): one for one in _findings(projects, now)}, now)


def _watched(now: datetime) -> QuerySet[Project]:
    """Projects in which models are called, runs are on or have just ended, or an alert still stands."""
    runs = _runs(now).filter(project=OuterRef("pk"))
    calls = Call.objects.filter(project=OuterRef("pk"), created__gte=now - LATELY)
    standing = Alert.objects.standing().filter(project=OuterRef("pk"))
    return Project.objects.filter(Exists(runs) | Exists(calls) | Exists(standing))


def _runs(now: datetime) -> QuerySet[Run]:
    return Run.objects.filter(
        Q(state=Run.State.RUNNING) | Q(finished__gte=now - LATELY) | Exists(_standing_of_run())
    ).defer("frozen")


def _standing_of_run() -> QuerySet[Alert]:
    return Alert.objects.standing().filter(run=OuterRef("pk"))


def _findings(projects: Sequence[int], now: datetime) -> Iterable[Finding]:
    """What is broken. Rules that look equally far back are answered together."""
    rules = AlertRule.objects.filter(project__in=projects, active=True)
    runs = list(_runs(now).filter(project__in=projects))
    by_window: dict[int, list[AlertRule]] = {}
    for rule in rules:
        by_window.setdefault(0 if rule.kind in WITHOUT_WINDOW else rule.window, []).append(rule)
    for window, group in by_window.items():
        since = now - timedelta(minutes=window)
        whole = [rule for rule in group if rule.kind in OF_THE_PROJECT]
        yield from _of_projects(whole, spent_by({rule.project_id for rule in whole}, since) if whole else {})
        single = [rule for rule in group if rule.kind not in OF_THE_PROJECT]
        theirs = [run for run in runs if run.project_id in {rule.project_id for rule in single}]
        yield from _of_runs(single, theirs, facts_of(theirs, since, aside=ASIDE) if theirs else {})


def _of_projects(rules: Iterable[AlertRule], facts: Mapping[int, Facts]) -> Iterable[Finding]:
    for rule in rules:
        yield from _finding(rule, None, facts[rule.project_id])


def _of_runs(rules: Sequence[AlertRule], runs: Iterable[Run], facts: Mapping[int, Facts]) -> Iterable[Finding]:
    for run in runs:
        for rule in rules:
            if rule.project_id == run.project_id:
                yield from _finding(rule, run.pk, facts[run.pk])


def _finding(rule: AlertRule, run: int | None, facts: Facts) -> Iterable[Finding]:
    kind = KINDS[rule.kind]
    reading = kind.read(facts)
    if kind.breaks(rule, reading):
        yield Finding(rule, run, reading.value, kind.say(rule, reading))


def _apply(projects: Sequence[int], findings: Mapping[Key, Finding], now: datetime) -> None:
    """Alerts that stand go on or end; those that are new, and no comeback of one that has just ended, are told."""
    known = Alert.objects.filter(Q(ended=None) | Q(ended__gte=now - LATELY), project__in=projects).order_by("pk")
    alerts = {(alert.rule_id, alert.run_id): alert for alert in known}
    for key, alert in alerts.items():
        _continue(alert, findings.get(key), now)
    Alert.objects.bulk_update(alerts.values(), ["value", "sentence", "severity", "count", "last_seen", "ended"])
    fresh = [_opened(finding, now) for key, finding in findings.items() if key not in alerts]
    announce(Alert.objects.bulk_create(fresh), now)


def _continue(alert: Alert, finding: Finding | None, now: datetime) -> None:
    if finding is None:
        alert.ended = alert.ended or now
        return
    alert.value, alert.sentence, alert.severity = finding.value, finding.sentence, finding.rule.severity
    alert.count, alert.last_seen, alert.ended = alert.count + 1, now, None


def _opened(finding: Finding, now: datetime) -> Alert:
    return Alert(
        project_id=finding.rule.project_id, rule=finding.rule, run_id=finding.run, severity=finding.rule.severity,
        value=finding.value, sentence=finding.sentence, began=now, last_seen=now,
    )  # fmt: skip


def acknowledge(*, alerts: QuerySet[Alert], user: User) -> int:
    """Say that somebody has seen them. Returns how many nobody had."""
    return alerts.filter(acknowledged=None).update(acknowledged=timezone.now(), acknowledged_by=user)
