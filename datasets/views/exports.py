"""Exports: asked for by curators, read and downloaded by every member."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from datasets import pulse, tasks
from datasets.access import project_view
from datasets.filters import ConversationFilter
from datasets.formats import FORMATS
from datasets.forms.conversations import ConversationFilterForm, PlaceForm
from datasets.forms.exports import ExportForm
from datasets.keyset import keyset
from datasets.models import Export, Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.errors import Refused
from datasets.services.publishing import exports
from datasets.services.publishing.splitting import TOGETHER

ROWS = 50


@require_GET
@project_view()
def export_list(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    rows = project.exports.select_related("created_by", "project")
    page = keyset(rows, "pk", size=ROWS, descending=True, **PlaceForm(request.GET).values())
    active = any(row.is_active for row in page.rows)
    context = {"page": page, "active": active, "formats": FORMATS}
    return render_page(request, "datasets/export_list.html", context, fragment="list")


@project_view(Role.CURATOR)
def export_new(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """What would be written: how many rows, and one of them. It answers to each change of the form."""
    return _show_form(request, project, ExportForm(project, request.GET))


@project_view(Role.CURATOR)
def export_create(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    form = ExportForm(project, request.POST)
    if not form.is_valid():
        return _show_form(request, project, form, status=422)
    try:
        export = exports.start_export(
            project=project, actor=request.user, filter=form.filter, format=form.cleaned_data["format"],
            options=form.options, split=form.split,
        )  # fmt: skip
    except Refused as refusal:
        form.add_error(refusal.field or None, str(refusal))
        return _show_form(request, project, form, status=422)
    transaction.on_commit(lambda: tasks.write_export.delay(export.pk), robust=True)
    return redirect("datasets:export-detail", project.slug, export.pk)


@require_GET
@project_view()
def export_detail(request: HtmxHttpRequest, project: Project, export: int) -> HttpResponse:
    row = get_object_or_404(project.exports.select_related("created_by"), pk=export)
    described = ConversationFilterForm(project, ConversationFilter.read(row.filter).parameters)
    described.full_clean()
    context = {
        "export": row,
        "format": FORMATS.get(row.format),
        "together": TOGETHER[row.split["together"]] if row.split else "",
        "filter": described.filter,
        "described": described,
        "silent": row.is_active and not pulse.listens("default"),
    }
    return render_page(request, "datasets/export_detail.html", context, fragment="state")


@require_GET
@project_view()
def export_download(request: HtmxHttpRequest, project: Project, export: int) -> FileResponse:
    row = get_object_or_404(project.exports, pk=export, state=Export.State.READY)
    try:
        file = row.file.open("rb")
    except FileNotFoundError as error:
        raise Http404("The file is gone from the server: export again.") from error
    return FileResponse(file, as_attachment=True, filename=row.file_name, content_type=row.content_type)


@require_POST
@project_view(Role.CURATOR)
def export_delete(request: HtmxHttpRequest, project: Project, export: int) -> HttpResponse:
    row = get_object_or_404(project.exports, pk=export)
    exports.delete_export(export=row, actor=request.user)
    messages.success(request, f"Export {export} is deleted.")
    return redirect("datasets:export-list", project.slug)


def _show_form(request: HtmxHttpRequest, project: Project, form: ExportForm, *, status: int = 200) -> HttpResponse:
    context: dict[str, Any] = {"form": form, "formats": FORMATS}
    if form.is_valid():
        chosen = {"format": form.cleaned_data["format"], "options": form.options}
        row = exports.preview(project=project, filter=form.filter, **chosen)
        context["count"] = exports.count_rows(project=project, filter=form.filter, **chosen)
        context["held"] = form.split and form.split.wanted(context["count"])
        context["example"] = row and json.dumps(row, ensure_ascii=False, indent=2)
        context["anything"] = project.conversations.exists()
        context["compares"] = FORMATS[chosen["format"]].compares
    return render_page(request, "datasets/export_new.html", context, fragment="preview", status=status)
