"""Reports about what a filter matches, reckoned by a worker."""

from __future__ import annotations

from contextlib import suppress

from django.db import transaction

from datasets.filters import ConversationFilter
from datasets.forms.conversations import ConversationFilterForm
from datasets.models import Project, Report, User
from datasets.models.artifacts import Lost
from datasets.reports.findings import Findings
from datasets.reports.tally import Tally
from datasets.services.activity import record_activity
from datasets.services.curating.bulk import newest_id
from datasets.services.errors import Refused
from datasets.services.publishing import reckoning


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


def findings_of(report: Report) -> Findings | None:
    """What came out, once it is done."""
    return Findings.model_validate(report.result) if report.result is not None else None


def make_report(*, report_id: int) -> None:
    """Make it, unless another worker does. The result appears when it is whole."""
    report = Report.objects.claim(report_id, rows_read=0)
    if report is None:
        return
    with suppress(Lost):
        tally = _read(report)
        findings = tally.findings(reckoning.archive_of(report.project, tally))
        report.end(Report.State.DONE, result=findings.model_dump(mode="json"), rows_read=tally.conversations)


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
        report.keep(rows_read=tally.conversations)
    return tally
