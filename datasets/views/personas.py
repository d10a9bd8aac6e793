"""Personas: who the simulated user may be."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from datasets.access import project_view
from datasets.forms.personas import PersonaForm, PersonasForm
from datasets.keyset import keyset
from datasets.models import Document, Persona, Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.errors import Refused
from datasets.services.personas import saving as personas
from datasets.services.personas.reviewing import delete_persona
from datasets.verbs import verbs

PAGE = 60
CHILDREN = 30


@require_GET
@project_view()
def persona_list(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    archived, place = "archived" in request.GET, PersonasForm(request.GET).values()
    rows = project.personas.filter(archived=True) if archived else project.personas.usable()
    rows = rows.matching(place["q"]).select_related("current", "document")
    rows = rows.filter(document=place["document"]) if place["document"] else rows
    context = {
        "page": keyset(rows, "name", after=place["after"] or None, before=place["before"] or None, size=PAGE),
        "archived": archived,
        "q": place["q"],
        "in_a_run": urlencode({"persona_q": place["q"], "persona_document": place["document"] or ""}),
        "document": place["document"] and project_document(project, place["document"]),
        "waiting": project.personas.waiting().count(),
        "rejected": archived and project.personas.filter(archived=True, proposed=True).exists(),
    }
    return render_page(request, "datasets/persona_list.html", context, fragment="list")


def project_document(project: Project, pk: int) -> Document:
    return get_object_or_404(Document.objects.without_text().filter(corpus__project=project), pk=pk)


@project_view(Role.CURATOR)
def show_new(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _form_page(request, None, PersonaForm())


@project_view(Role.CURATOR)
def create(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _save(request, project, None)


@project_view()
def show_detail(request: HtmxHttpRequest, project: Project, persona: int) -> HttpResponse:
    row = get_object_or_404(project.personas.select_related("current"), pk=persona)
    said = {name: getattr(row.current, name) for name in ("description", "features", "system_prompt")}
    return _form_page(request, row, PersonaForm(initial={"name": row.name, **said}))


@project_view(Role.CURATOR)
def save_detail(request: HtmxHttpRequest, project: Project, persona: int) -> HttpResponse:
    return _save(request, project, get_object_or_404(project.personas, pk=persona))


persona_new = verbs(get=show_new, post=create)
persona_detail = verbs(get=show_detail, post=save_detail)


def _form_page(request: HtmxHttpRequest, row: Persona | None, form: PersonaForm, status: int = 200) -> HttpResponse:
    context = {
        "persona": row,
        "form": form,
        "versions": row.versions.select_related("author") if row else [],
        "children": row.children.order_by("pk")[:CHILDREN] if row else [],
    }
    return render_page(request, "datasets/persona_detail.html", context, status=status)


def _save(request: HtmxHttpRequest, project: Project, row: Persona | None) -> HttpResponse:
    form = PersonaForm(request.POST)
    if form.is_valid():
        try:
            saved = personas.save_persona(project=project, author=request.user, persona=row, **form.cleaned_data)
            if "review" in request.GET:
                return redirect(f"{reverse('datasets:persona-review', args=[project.slug])}?persona={saved.pk}")
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


@require_POST
@project_view(Role.CURATOR)
def persona_delete(request: HtmxHttpRequest, project: Project, persona: int) -> HttpResponse:
    row = get_object_or_404(project.personas, pk=persona)
    try:
        delete_persona(persona=row, actor=request.user)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("datasets:persona-detail", project.slug, persona)
    messages.success(request, f"“{row.name}” is deleted.")
    return redirect("datasets:persona-review" if "review" in request.GET else "datasets:persona-list", project.slug)
