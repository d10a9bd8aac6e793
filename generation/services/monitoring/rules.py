"""The alert rules of a project: every kind once, with the thresholds that its people chose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import transaction
from django.utils import timezone

from datasets.models import Project, User
from datasets.services.activity import record_activity
from generation.models import Alert, AlertRule
from generation.services.monitoring.kinds import KINDS


def give_rules(projects: Iterable[int]) -> None:
    """Write the rules that a project does not have yet, as they are in a new one. Safe side by side."""
    wanted = {(project, kind) for project in projects for kind in KINDS}
    there = AlertRule.objects.filter(project__in={project for project, _ in wanted}).values_list("project", "kind")
    missing = wanted - set(there)
    rows = [_as_new(project, kind) for project in sorted({project for project, _ in missing}) for kind in KINDS]
    AlertRule.objects.bulk_create((row for row in rows if (row.project_id, row.kind) in missing), ignore_conflicts=True)


def _as_new(project: int, kind: str) -> AlertRule:
    about = KINDS[kind]
    return AlertRule(
        project_id=project, kind=kind, threshold=about.threshold, window=about.window, min_samples=about.min_samples,
        severity=about.severity, active=about.active,
    )  # fmt: skip


def rules_of(project: Project) -> list[AlertRule]:
    """One of each kind, in the order of the kinds."""
    give_rules([project.pk])
    order = list(KINDS)
    return sorted(project.alert_rules.all(), key=lambda rule: order.index(rule.kind))


@transaction.atomic
def change_rules(*, project: Project, rules: Sequence[AlertRule], user: User) -> None:
    """Keep what `rules` now say. An alert of a rule that is switched off stands no longer."""
    for rule in rules:
        rule.save()
    off = [rule.pk for rule in rules if not rule.active]
    Alert.objects.standing().filter(rule__in=off).update(ended=timezone.now())
    names = ", ".join(f"“{rule}”" for rule in rules)
    record_activity(project=project, actor=user, text=f"changed the alert rules {names}", path="alerts/rules/")
