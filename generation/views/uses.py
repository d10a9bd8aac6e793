"""Where a prompt is used: a piece of the archive's prompt page, which knows of no runs."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from datasets.access import project_view
from datasets.models import Project, PromptRole
from datasets.pages import HtmxHttpRequest

SHOWN = 20


@require_GET
@project_view()
def prompt_uses(request: HtmxHttpRequest, project: Project, prompt: int) -> HttpResponse:
    """The runs that were launched with the prompt and the recipes that name it, newest first."""
    row = get_object_or_404(project.prompts, pk=prompt)
    field = f"{row.role}_prompt"
    runs = project.runs.filter(**{f"spec__{field}": row.pk})
    recipes = project.recipes.filter(**{f"spec__{field}": row.pk})
    context = {
        "prompt": row,
        "runs": [(run, run.frozen[row.role]["version"]) for run in runs[:SHOWN]],
        "run_count": runs.count(),
        "recipes": recipes[:SHOWN],
        "endpoints": project.endpoints.all() if row.role == PromptRole.RESPONDENT else [],
    }
    return render(request, "generation/prompt_uses.html", context)
