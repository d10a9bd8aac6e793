"""Reports: asked for by curators, read and downloaded by every member."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from datasets import pulse, tasks
from datasets.access import project_view
from datasets.filters import COUNTED, ConversationFilter
from datasets.forms.conversations import ConversationFilterForm, PlaceForm
from datasets.keyset import keyset
from datasets.models import Project, Report, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.presenters.report import file_of, shown
from datasets.services.errors import Refused
from datasets.services.publishing import reports

ROWS = 20


@require_GET
@project_view()
def report_list(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """The newest report that is done, above all of them."""
    rows = project.reports.without_result().select_related("created_by")
    page = keyset(rows, "pk", size=ROWS, descending=True, **PlaceForm(request.GET).values())
    context: dict[str, Any] = {"page": page, "active": any(row.is_active for row in page.rows)}
    newest = project.reports.filter(state=Report.State.DONE).first()
    if newest is not None and not page.before:
        context |= shown(newest)
    return render_page(request, "datasets/report_list.html", context, fragment="list")


@project_view(Role.CURATOR)
def report_new(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """How many conversations it would be about. It answers to each change of the form."""
    return _show_form(request, project, ConversationFilterForm(project, request.GET))


@project_view(Role.CURATOR)
def report_create(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    form = ConversationFilterForm(project, request.POST)
    if not form.is_valid():
        return _show_form(request, project, form, status=422)
    try:
        report = reports.start_report(project=project, actor=request.user, filter=form.filter)
    except Refused as refusal:
        form.add_error(None, str(refusal))
        return _show_form(request, project, form, status=422)
    transaction.on_commit(lambda: tasks.make_report.delay(report.pk), robust=True)
    return redirect("datasets:report-detail", project.slug, report.pk)


@require_GET
@project_view()
def report_detail(request: HtmxHttpRequest, project: Project, report: int) -> HttpResponse:
    row = get_object_or_404(project.reports.select_related("created_by"), pk=report)
    silent = row.is_active and not pulse.listens("default")
    context = {**shown(row), "filter": ConversationFilter.read(row.filter), "silent": silent}
    return render_page(request, "datasets/report_detail.html", context, fragment="state")


@require_GET
@project_view()
def report_download(request: HtmxHttpRequest, project: Project, report: int) -> HttpResponse:
    row = get_object_or_404(project.reports.select_related("project", "created_by"), pk=report, state=Report.State.DONE)
    headers = {"Content-Disposition": f'attachment; filename="{row.file_name}"'}
    return HttpResponse(file_of(row), headers=headers)


@require_POST
@project_view(Role.CURATOR)
def report_delete(request: HtmxHttpRequest, project: Project, report: int) -> HttpResponse:
    reports.delete_report(report=get_object_or_404(project.reports, pk=report), actor=request.user)
    messages.success(request, f"Report {report} is deleted.")
    return redirect("datasets:report-list", project.slug)


def _show_form(
    request: HtmxHttpRequest, project: Project, form: ConversationFilterForm, *, status: int = 200
) -> HttpResponse:
    context: dict[str, Any] = {"form": form, "counted": COUNTED}
    if form.is_valid():
        context["count"] = form.filter.bounded_count(project.conversations.all())
        context["anything"] = project.conversations.exists()
    return render_page(request, "datasets/report_new.html", context, fragment="preview", status=status)
