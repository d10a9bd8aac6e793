"""Criteria: what a project has its conversations judged by."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from datasets.access import project_view
from datasets.forms.criteria import CriterionForm
from datasets.models import Criterion, Project, Role
from datasets.models.quality import BUILT_IN_CRITERIA
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services import criteria
from datasets.services.errors import Refused
from datasets.verbs import verbs


@require_GET
@project_view()
def criterion_list(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    archived = "archived" in request.GET
    rows = project.criteria.filter(archived=archived)
    context = {"criteria": rows, "archived": archived, "built_in": BUILT_IN_CRITERIA, "section": "quality"}
    return render_page(request, "datasets/criterion_list.html", context)


@project_view(Role.CURATOR)
def show_new(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _form_page(request, None, CriterionForm())


@project_view(Role.CURATOR)
def create(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _save(request, project, None)


@project_view()
def show_detail(request: HtmxHttpRequest, project: Project, criterion: int) -> HttpResponse:
    row = get_object_or_404(project.criteria, pk=criterion)
    fields = ("name", "description", "needs_passages", "weight")
    return _form_page(request, row, CriterionForm(initial={name: getattr(row, name) for name in fields}))


@project_view(Role.CURATOR)
def save_detail(request: HtmxHttpRequest, project: Project, criterion: int) -> HttpResponse:
    return _save(request, project, get_object_or_404(project.criteria, pk=criterion))


criterion_new = verbs(get=show_new, post=create)
criterion_detail = verbs(get=show_detail, post=save_detail)


def _form_page(request: HtmxHttpRequest, row: Criterion | None, form: CriterionForm, status: int = 200) -> HttpResponse:
    context = {"criterion": row, "form": form, "section": "quality"}
    return render_page(request, "datasets/criterion_detail.html", context, status=status)


def _save(request: HtmxHttpRequest, project: Project, row: Criterion | None) -> HttpResponse:
    form = CriterionForm(request.POST)
    if form.is_valid():
        try:
            saved = criteria.save_criterion(project=project, criterion=row, **form.cleaned_data)
            messages.success(request, f"“{saved.name}” is saved.")
            return redirect("datasets:criterion-list", project.slug)
        except Refused as refusal:
            form.add_error(refusal.field or None, str(refusal))
    shown = get_object_or_404(project.criteria, pk=row.pk) if row else None
    return _form_page(request, shown, form, status=422)


@require_POST
@project_view(Role.CURATOR)
def criterion_archive(request: HtmxHttpRequest, project: Project, criterion: int) -> HttpResponse:
    """Out of the lists, or back into them; runs and judgements that have it keep it."""
    row = get_object_or_404(project.criteria, pk=criterion)
    row.archived = not row.archived
    row.save(update_fields=["archived"])
    return redirect("datasets:criterion-list", project.slug)
