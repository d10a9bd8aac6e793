"""Where a prompt is used: a piece of the archive's prompt page, which knows of no runs."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from datasets.access import project_view
from datasets.models import Project, PromptRole
from datasets.pages import HtmxHttpRequest, render_page

SHOWN = 20


@require_GET
@project_view()
def prompt_uses(request: HtmxHttpRequest, project: Project, prompt: int) -> HttpResponse:
    """The runs that were launched with the prompt and the recipes that name it, newest first."""
    row = get_object_or_404(project.prompts, pk=prompt)
    field = f"{row.role}_prompt"
    runs = project.runs.filter(**{f"spec__{field}": row.pk})
    speakers = project.endpoints.exclude(chat_model="") if row.role == PromptRole.RESPONDENT else []
    context = {
        "prompt": row,
        "runs": [(run, run.frozen[row.role]["version"]) for run in runs[:SHOWN]],
        "earlier": max(0, runs.count() - SHOWN),
        "recipes": project.recipes.filter(**{f"spec__{field}": row.pk}).order_by("-updated")[:SHOWN],
        "endpoints": sorted(speakers, key=lambda endpoint: endpoint.is_offline),
    }
    return render_page(request, "generation/prompt_uses.html", context, fragment="uses")
