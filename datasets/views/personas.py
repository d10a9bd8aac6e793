"""Personas: who the simulated user may be."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from datasets.access import project_view
from datasets.forms.personas import PersonaForm
from datasets.models import Persona, Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services import personas
from datasets.services.errors import Refused
from datasets.verbs import verbs


@require_GET
@project_view()
def persona_list(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    archived = "archived" in request.GET
    rows = project.personas.filter(archived=archived).select_related("current")
    return render_page(request, "datasets/persona_list.html", {"personas": rows, "archived": archived})


@project_view(Role.CURATOR)
def show_new(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _form_page(request, None, PersonaForm())


@project_view(Role.CURATOR)
def create(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _save(request, project, None)


@project_view()
def show_detail(request: HtmxHttpRequest, project: Project, persona: int) -> HttpResponse:
    row = get_object_or_404(project.personas.select_related("current"), pk=persona)
    current = {"name": row.name, "description": row.current.description, "features": row.current.features}
    return _form_page(request, row, PersonaForm(initial=current))


@project_view(Role.CURATOR)
def save_detail(request: HtmxHttpRequest, project: Project, persona: int) -> HttpResponse:
    return _save(request, project, get_object_or_404(project.personas, pk=persona))


persona_new = verbs(get=show_new, post=create)
persona_detail = verbs(get=show_detail, post=save_detail)


def _form_page(request: HtmxHttpRequest, row: Persona | None, form: PersonaForm, status: int = 200) -> HttpResponse:
    versions = row.versions.select_related("author") if row else []
    context = {"persona": row, "form": form, "versions": versions}
    return render_page(request, "datasets/persona_detail.html", context, status=status)


def _save(request: HtmxHttpRequest, project: Project, row: Persona | None) -> HttpResponse:
    form = PersonaForm(request.POST)
    if form.is_valid():
        try:
            saved = personas.save_persona(project=project, author=request.user, persona=row, **form.cleaned_data)
            messages.success(request, f"“{saved.name}” is saved.")
            return redirect("datasets:persona-detail", project.slug, saved.pk)
        except Refused as refusal:
            form.add_error(refusal.field or None, str(refusal))
    return _form_page(request, row, form, status=422)


@require_POST
@project_view(Role.CURATOR)
def persona_archive(request: HtmxHttpRequest, project: Project, persona: int) -> HttpResponse:
    """Out of the lists, or back into them; runs that used it keep what they had."""
    row = get_object_or_404(project.personas, pk=persona)
    row.archived = not row.archived
    row.save(update_fields=["archived"])
    return redirect("datasets:persona-list", project.slug)
