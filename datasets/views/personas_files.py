"""Personas as files: brought in by curators, taken out by every member."""

from __future__ import annotations

from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET

from datasets import pulse, tasks
from datasets.access import project_view
from datasets.formats.personas import write_jsonl, write_yaml
from datasets.forms.personas import PersonaImportForm
from datasets.models import Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.errors import Refused
from datasets.services.personas import importing as personas_import
from datasets.services.personas.files import rows_of
from datasets.verbs import verbs


@project_view(Role.CURATOR)
def show(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _page(request, PersonaImportForm())


@project_view(Role.CURATOR)
def take(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """What is soon done is done when the answer comes; a worker does the rest."""
    form = PersonaImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, form, status=422)
    try:
        row = personas_import.start_import(
            project=project, text=form.text, author=request.user, is_yaml=form.is_yaml,
            review=form.cleaned_data["review"],
        )  # fmt: skip
    except Refused as refusal:
        form.add_error(None, str(refusal))
        return _page(request, form, status=422)
    tasks.bring_in_personas(row)
    return redirect("datasets:persona-import-detail", project.slug, row.pk)


persona_import = verbs(get=show, post=take)


def _page(request: HtmxHttpRequest, form: PersonaImportForm, status: int = 200) -> HttpResponse:
    return render_page(request, "datasets/persona_import.html", {"form": form}, status=status)


@require_GET
@project_view()
def persona_import_detail(request: HtmxHttpRequest, project: Project, number: int) -> HttpResponse:
    """How far it is, and what came of it."""
    row = get_object_or_404(project.persona_imports.select_related("created_by").defer("text"), pk=number)
    context = {"import": row, "silent": row.is_active and not pulse.listens("default")}
    return render_page(request, "datasets/persona_import_detail.html", context, fragment="state")


@require_GET
@project_view()
def persona_export(request: HtmxHttpRequest, project: Project) -> StreamingHttpResponse:
    """Those in use, or with `all` also those that wait and those that are archived."""
    personas = project.personas.all() if "all" in request.GET else project.personas.usable()
    as_yaml = request.GET.get("format") == "yaml"
    lines = (write_yaml if as_yaml else write_jsonl)(rows_of(personas))
    name = f"{project.slug}-personas.{'yaml' if as_yaml else 'jsonl'}"
    kind = "application/yaml" if as_yaml else "application/jsonl"
    return StreamingHttpResponse(
        lines, content_type=f"{kind}; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
