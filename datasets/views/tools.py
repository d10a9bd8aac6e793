"""The tools of a project: written by hand, or pasted from wherever they are described already."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from datasets.access import project_view
from datasets.forms.tools import ToolForm, ToolPasteForm, ToolsForm
from datasets.keyset import keyset
from datasets.models import Project, Role, Tool
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services import tools
from datasets.services.errors import Refused
from datasets.verbs import verbs

ROWS = 100


@require_GET
@project_view()
def tool_list(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    archived = "archived" in request.GET
    place = ToolsForm(request.GET).values()
    page = keyset(project.tools.filter(archived=archived), "name", size=ROWS, **place)
    return render_page(request, "datasets/tool_list.html", {"page": page, "archived": archived})


@project_view(Role.CURATOR)
def show_new(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _form_page(request, None, ToolForm())


@project_view(Role.CURATOR)
def create(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _save(request, project, None)


@project_view()
def show_detail(request: HtmxHttpRequest, project: Project, tool: int) -> HttpResponse:
    row = get_object_or_404(project.tools, pk=tool)
    return _form_page(request, row, ToolForm(initial=row.spec.model_dump()))


@project_view(Role.CURATOR)
def save_detail(request: HtmxHttpRequest, project: Project, tool: int) -> HttpResponse:
    return _save(request, project, get_object_or_404(project.tools, pk=tool))


tool_new = verbs(get=show_new, post=create)
tool_detail = verbs(get=show_detail, post=save_detail)


def _form_page(request: HtmxHttpRequest, row: Tool | None, form: ToolForm, status: int = 200) -> HttpResponse:
    return render_page(request, "datasets/tool_detail.html", {"tool": row, "form": form}, status=status)


def _save(request: HtmxHttpRequest, project: Project, row: Tool | None) -> HttpResponse:
    form = ToolForm(request.POST)
    if form.is_valid():
        try:
            saved = tools.save_tool(project=project, actor=request.user, tool=row, **form.cleaned_data)
            messages.success(request, f"“{saved.name}” is saved.")
            return redirect("datasets:tool-list", project.slug)
        except Refused as refusal:
            form.add_error(refusal.field or None, str(refusal))
    return _form_page(request, row, form, status=422)


@project_view(Role.CURATOR)
def show_paste(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _paste_page(request, ToolPasteForm())


@project_view(Role.CURATOR)
def paste(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    form = ToolPasteForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            replace = form.cleaned_data["replace"]
            added = tools.add_tools(project=project, text=form.text, replace=replace, actor=request.user)
            return _paste_page(request, form if added.problems else ToolPasteForm(), added=added)
        except Refused as refusal:
            form.add_error(refusal.field if not form.cleaned_data.get("file") else "file", str(refusal))
    return _paste_page(request, form, status=422)


tool_paste = verbs(get=show_paste, post=paste)


def _paste_page(request: HtmxHttpRequest, form: ToolPasteForm, status: int = 200, **context: Any) -> HttpResponse:
    return render_page(request, "datasets/tool_paste.html", {"form": form, **context}, status=status)


@require_POST
@project_view(Role.CURATOR)
def tool_archive(request: HtmxHttpRequest, project: Project, tool: int) -> HttpResponse:
    """Out of the lists, or back into them; runs that used it keep what they had."""
    row = get_object_or_404(project.tools, pk=tool)
    row.archived = not row.archived
    row.save(update_fields=["archived", "updated"])
    return redirect("datasets:tool-list", project.slug)
