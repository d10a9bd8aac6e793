"""Personas as files: brought in by curators, taken out by every member."""

from __future__ import annotations

from django.http import HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_GET

from datasets.access import project_view
from datasets.formats.personas import write_jsonl, write_yaml
from datasets.forms.personas import PersonaImportForm
from datasets.models import Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.errors import Refused
from datasets.services.personas_files import Imported, import_personas, rows_of
from datasets.verbs import verbs


@project_view(Role.CURATOR)
def show(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _page(request, PersonaImportForm())


@project_view(Role.CURATOR)
def take(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    form = PersonaImportForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            imported = import_personas(
                project=project, text=form.text, author=request.user, is_yaml=form.is_yaml,
                review=form.cleaned_data["review"],
            )  # fmt: skip
        except Refused as refusal:
            form.add_error(None, str(refusal))
        else:
            return _page(request, PersonaImportForm(), imported)
    return _page(request, form, status=422)


persona_import = verbs(get=show, post=take)


def _page(
    request: HtmxHttpRequest, form: PersonaImportForm, imported: Imported | None = None, status: int = 200
) -> HttpResponse:
    context = {"form": form, "imported": imported}
    return render_page(request, "datasets/persona_import.html", context, status=status)


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
