"""Reports: what many conversations are like, reckoned by a worker."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema

from datasets import tasks
from datasets.access import project_for
from datasets.models import Report, Role
from datasets.presenters.report import file_of
from datasets.reports.findings import Findings
from datasets.services.errors import Refused
from datasets.services.publishing import reports

from .exports import StrictFilter
from .shapes import PROJECT, ApiRequest, Body, Page, Place, enqueue, one_of, page_of

router = Router(tags=["Reports"])

REPORTS = PROJECT + "/reports"
REPORT = REPORTS + "/{int:report}"


class ReportIn(Body):
    filter: StrictFilter = Field(StrictFilter(), examples=[{"status": "approved"}])


class ReportOut(Schema):
    id: int
    filter: dict[str, Any]
    about: str = Field(description="The filter in words; empty where it narrows nothing.")
    state: str = Field(description="`done`: it has a result.", json_schema_extra=one_of(Report.State.values))
    rows: int = Field(description="Conversations to read, counted when it was asked for.")
    rows_read: int
    error: str
    created: datetime
    finished: datetime | None


class ReportWithResult(ReportOut):
    result: Findings | None = Field(description="Null until its state is `done`.")


@router.get(REPORTS, response=Page[ReportOut])
def list_reports(request: ApiRequest, project: str, place: Query[Place]) -> dict[str, Any]:
    """The reports of a project, newest first, without their results."""
    return page_of(project_for(request.auth, project).reports.without_result(), place, newest_first=True)


@router.post(REPORTS, response={201: ReportWithResult})
def create_report(request: ApiRequest, project: str, body: ReportIn) -> Report:
    """Have a worker report on what the filter matches now. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    report = reports.start_report(project=row, actor=request.auth, filter=body.filter)
    enqueue(tasks.make_report.delay, report.pk)
    return report


@router.get(REPORT, response=ReportWithResult)
def get_report(request: ApiRequest, project: str, report: int) -> Report:
    """One report: ask again until its state is `done` or `failed`."""
    return get_object_or_404(project_for(request.auth, project).reports, pk=report)


@router.get(
    REPORT + "/file", openapi_extra={"responses": {200: {"description": "The file", "content": {"text/html": {}}}}}
)
def download_report(request: ApiRequest, project: str, report: int) -> HttpResponse:
    """The report as one HTML file, which asks no host for anything."""
    rows = project_for(request.auth, project).reports.select_related("project", "created_by")
    row = get_object_or_404(rows, pk=report)
    if row.state != Report.State.DONE:
        raise Refused("There is nothing to download yet: ask for the report until its state is “done”.")
    return HttpResponse(file_of(row), headers={"Content-Disposition": f'attachment; filename="{row.file_name}"'})


@router.delete(REPORT, response={204: None})
def delete_report(request: ApiRequest, project: str, report: int) -> None:
    """Needs the role of curator."""
    rows = project_for(request.auth, project, Role.CURATOR).reports
    reports.delete_report(report=get_object_or_404(rows.select_related("project"), pk=report), actor=request.auth)
