"""The labels of a project."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from datasets.access import project_view
from datasets.models import Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.curating import conversations
from datasets.services.errors import Refused


@require_GET
@project_view()
def label_list(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    context = {"labels": project.labels.annotate(total=Count("labellings"))}
    return render_page(request, "datasets/conversation_labels.html", context)


@require_POST
@project_view(Role.CURATOR)
def label_rename(request: HtmxHttpRequest, project: Project, label: int) -> HttpResponse:
    row = get_object_or_404(project.labels, pk=label)
    try:
        conversations.rename_label(label=row, name=request.POST.get("name", ""), actor=request.user)
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("datasets:label-list", project.slug)


@require_POST
@project_view(Role.CURATOR)
def label_delete(request: HtmxHttpRequest, project: Project, label: int) -> HttpResponse:
    row = get_object_or_404(project.labels, pk=label)
    conversations.delete_label(label=row, actor=request.user)
    messages.success(request, f"The label “{row.name}” is deleted.")
    return redirect("datasets:label-list", project.slug)
