"""Conversations that somebody brings along: uploaded, looked at, confirmed, read."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from datasets import pulse, tasks
from datasets.access import project_view
from datasets.formats.incoming import SHAPES
from datasets.forms.conversations import PlaceForm
from datasets.forms.imports import ImportForm
from datasets.keyset import keyset
from datasets.models import Import, Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.curating import imports
from datasets.services.errors import Refused
from datasets.verbs import verbs

ROWS = 20
SHOWN = 5
"""Rows of a file that its page shows before anybody confirms it."""


@project_view()
def show_all(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _page(request, project, ImportForm())


@project_view(Role.CURATOR)
def upload(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    form = ImportForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            row = imports.store_import(project=project, file=form.cleaned_data["file"], actor=request.user)
            return redirect("datasets:import-detail", project.slug, row.pk)
        except Refused as refusal:
            form.add_error(refusal.field or None, str(refusal))
    return _page(request, project, form, status=422)


import_list = verbs(get=show_all, post=upload)


def _page(request: HtmxHttpRequest, project: Project, form: ImportForm, status: int = 200) -> HttpResponse:
    rows = project.imports.select_related("created_by")
    page = keyset(rows, "pk", size=ROWS, descending=True, **PlaceForm(request.GET).values())
    context = {"form": form, "page": page, "section": "conversations"}
    return render_page(request, "datasets/import_list.html", context, status=status)


@require_GET
@project_view()
def import_detail(request: HtmxHttpRequest, project: Project, number: int) -> HttpResponse:
    """What the file holds while it waits to be confirmed; afterwards how far it is and what was left out."""
    row = get_object_or_404(project.imports.select_related("created_by", "batch"), pk=number)
    context = {
        "import": row,
        "shape": SHAPES[row.shape].label,
        "silent": row.is_active and not pulse.listens("default"),
        "section": "conversations",
    }
    if row.state == Import.State.SHOWN:
        return _show(request, row, context)
    return render_page(request, "datasets/import_detail.html", context, fragment="state")


def _show(request: HtmxHttpRequest, row: Import, context: dict[str, object]) -> HttpResponse:
    try:
        seen = imports.shown(row)
    except Refused as refusal:
        return render_page(request, "datasets/import_confirm.html", context | {"refusal": str(refusal)})
    context |= {"rows": seen.rows[:SHOWN], "problems": seen.problems, "before": imports.same_before(row)}
    return render_page(request, "datasets/import_confirm.html", context)


@require_POST
@project_view(Role.CURATOR)
def import_start(request: HtmxHttpRequest, project: Project, number: int) -> HttpResponse:
    row = get_object_or_404(project.imports, pk=number)
    try:
        imports.start_import(row=row, actor=request.user)
        transaction.on_commit(lambda: tasks.carry_on_import.delay(row.pk), robust=True)
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("datasets:import-detail", project.slug, number)


@require_POST
@project_view(Role.CURATOR)
def import_discard(request: HtmxHttpRequest, project: Project, number: int) -> HttpResponse:
    row = get_object_or_404(project.imports, pk=number)
    try:
        imports.discard_import(row=row)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("datasets:import-detail", project.slug, number)
    messages.info(request, f"{row.name} is discarded.")
    return redirect("datasets:import-list", project.slug)
