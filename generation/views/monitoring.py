"""Metrics of a run and of a project, and the ledger as a file."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_GET

from datasets.access import project_view
from datasets.models import Project
from datasets.pages import HtmxHttpRequest, render_page
from generation.forms.monitoring import NAMES, MonitoringForm
from generation.models import Run
from generation.presenters.metrics import shown
from generation.services.monitoring import ledger, metrics

OFTEN, SELDOM = 5, 60
"""Seconds between two looks at a run that lives: the second for one with many calls."""


@require_GET
@project_view()
def run_metrics(request: HtmxHttpRequest, project: Project, run: int) -> HttpResponse:
    row = get_object_or_404(project.runs, pk=run)
    context: dict[str, Any] = {"run": row, "poll": OFTEN if row.calls < metrics.MANY else SELDOM}
    context["later"] = row.calls >= metrics.MANY and _may_wait(request)
    if not context["later"]:
        context |= shown(metrics.metrics_of(metrics.scope_of_run(row)), _endpoints(project))
    return render_page(request, "generation/metrics_run.html", context, fragment="body")


@require_GET
@project_view()
def monitoring(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """The last hour, day, week or month of a project; of one run, endpoint or model if the address names them."""
    form = MonitoringForm(project, request.GET)
    context: dict[str, Any] = {"form": form, "spans": NAMES, "section": "quality"}
    if not form.is_valid():
        return render_page(request, "generation/metrics_project.html", context, status=422)
    scope = _scope(project, form)
    context |= {"span": form.span_name, "scope": scope, "later": _may_wait(request) and metrics.is_large(scope)}
    context["active"] = form.span_name == "hour" and project.runs.filter(state=Run.State.RUNNING).exists()
    if not context["later"]:
        context |= {"runs": metrics.runs_in(scope), **shown(metrics.metrics_of(scope), _endpoints(project))}
    return render_page(request, "generation/metrics_project.html", context, fragment="body")


@require_GET
@project_view()
def ledger_file(request: HtmxHttpRequest, project: Project) -> HttpResponseBase:
    """The calls that the dashboard counts, one a line."""
    form = MonitoringForm(project, request.GET)
    if not form.is_valid():
        return render_page(request, "generation/metrics_project.html", {"form": form, "spans": NAMES}, status=422)
    name = f"{project.slug}-calls-{timezone.localtime():%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    lines = ledger.csv_of(_scope(project, form))
    return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)


def _may_wait(request: HtmxHttpRequest) -> bool:
    """Whether the page may ask for its numbers by itself, once it is there."""
    return not request.htmx and "whole" not in request.GET


def _scope(project: Project, form: MonitoringForm) -> metrics.Scope:
    return metrics.scope_of_project(project.pk, form.window, **form.narrower())


def _endpoints(project: Project) -> dict[int, str]:
    return dict(project.endpoints.values_list("pk", "name"))
