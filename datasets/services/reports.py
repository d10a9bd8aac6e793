"""Reports about what a filter matches, reckoned by a worker."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from datasets.filters import ConversationFilter
from datasets.forms.conversations import ConversationFilterForm
from datasets.models import Project, Report, User
from datasets.models.reports import ReportQuerySet
from datasets.reports.findings import Findings
from datasets.reports.tally import Tally

from . import reckoning
from .activity import record_activity
from .bulk import newest_id
from .errors import Refused

LEASE = timedelta(seconds=60)
MAX_ATTEMPTS = 3


class Lost(Exception):
    """Another worker took the report over, or somebody deleted it."""


@transaction.atomic
def start_report(*, project: Project, actor: User | None, filter: ConversationFilter) -> Report:
    """Ask for a report of what matches now; `make_report` makes it. Raises Refused when nothing matches."""
    up_to = newest_id(project)
    rows = filter.count(project.conversations.filter(pk__lte=up_to))
    if not rows:
        raise Refused("Nothing matches, so there is nothing to report on: widen the choice.")
    report = Report.objects.create(
        project=project, created_by=actor, filter=filter.parameters, about=_about(project, filter), rows=rows,
        up_to=up_to,
    )  # fmt: skip
    text = f"asked for a report on {rows} conversations"
    record_activity(project=project, actor=actor, text=text, path=f"quality/{report.pk}/")
    return report


@transaction.atomic
def delete_report(*, report: Report, actor: User) -> None:
    """A worker that is making it finds out at its next chunk."""
    record_activity(project=report.project, actor=actor, text=f"deleted the report {report.pk}", path="quality/")
    report.delete()


def waiting_reports() -> list[int]:
    """Those that no worker holds."""
    return list(_free().values_list("pk", flat=True))


def findings_of(report: Report) -> Findings | None:
    """What came out, once it is done."""
    return Findings.model_validate(report.result) if report.result is not None else None


def make_report(*, report_id: int) -> None:
    """Make it, unless another worker does. The result appears when it is whole.

    Killed in the middle, it is begun again when its lease has run out; after three attempts it counts as failed.
    """
    report = _claim(report_id)
    if report is None:
        return
    with suppress(Lost):
        tally = _read(report)
        findings = tally.findings(reckoning.archive_of(report.project, tally))
        _keep(report, state=Report.State.DONE, result=findings.model_dump(mode="json"), rows_read=tally.conversations,
              lease_until=None, finished=timezone.now())  # fmt: skip


def _about(project: Project, filter: ConversationFilter) -> str:
    form = ConversationFilterForm(project, filter.parameters)
    form.full_clean()
    words = [f"“{filter.q}”"] if filter.q else []
    status = [filter.status.label.lower()] if filter.status else []
    return ", ".join([*words, *status, *(text for text, _ in form.chips)])[:300]


def _read(report: Report) -> Tally:
    tally = Tally()
    rows = report.project.conversations.filter(pk__lte=report.up_to)
    for chunk in reckoning.chunks(ConversationFilter.read(report.filter).apply(rows)):
        for entry in chunk:
            tally.add(entry) if entry is not None else tally.add_unreadable()
        _keep(report, lease_until=timezone.now() + LEASE, rows_read=tally.conversations)
    return tally


def _free() -> ReportQuerySet:
    now = timezone.now()
    return Report.objects.filter(Q(lease_until=None) | Q(lease_until__lt=now), state__in=Report.ACTIVE)


def _claim(report_id: int) -> Report | None:
    """The report, if this caller got it. One that took too many workers with it is failed instead."""
    free = _free().filter(pk=report_id)
    sentence = f"Reckoning stopped {MAX_ATTEMPTS} times before it was done: look at the worker's log and ask again."
    if free.filter(attempts__gte=MAX_ATTEMPTS).update(state=Report.State.FAILED, error=sentence, lease_until=None):
        return None
    changes = {"lease_until": timezone.now() + LEASE, "attempts": F("attempts") + 1, "rows_read": 0}
    won = free.update(state=Report.State.RUNNING, **changes)
    return Report.objects.select_related("project").get(pk=report_id) if won else None


def _keep(report: Report, **columns: Any) -> None:
    """Write to the row only as long as this attempt is the latest. Raises Lost when it is not."""
    mine = Report.objects.filter(pk=report.pk, attempts=report.attempts, state=Report.State.RUNNING)
    if not mine.update(**columns):
        raise Lost
