"""Pages that wait for a small piece of model work and show what came of it."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from datasets import pulse
from datasets.access import project_view
from datasets.models import Project, PromptRole, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.schema import Dialog
from generation.models import Trial
from generation.services import trials
from generation.tasks import run_trial


@require_GET
@project_view(Role.CURATOR)
def trial_detail(request: HtmxHttpRequest, project: Project, trial: int) -> HttpResponse:
    row = get_object_or_404(project.trials, pk=trial)
    dialog = Dialog.model_validate(row.result["dialog"]) if "dialog" in row.result else None
    context = {"trial": row, "dialog": dialog, "listens": pulse.listens("default")}
    template = f"generation/trial_{row.kind}.html"
    return render_page(request, template, context, fragment="result")


@require_POST
@project_view(Role.CURATOR)
def draft_correspondent(request: HtmxHttpRequest, project: Project, prompt: int) -> HttpResponse:
    """Write a correspondent prompt that suits a respondent prompt, with one model call."""
    row = get_object_or_404(project.prompts, pk=prompt, role=PromptRole.RESPONDENT)
    endpoint = get_object_or_404(project.endpoints, pk=request.POST.get("endpoint", ""))
    wanted = {"prompt": row.pk, "endpoint": endpoint.pk}
    trial = trials.ask_for(project=project, kind=Trial.Kind.CORRESPONDENT, request=wanted, user=request.user)
    transaction.on_commit(partial(run_trial.delay, trial.pk))
    return redirect("generation:trial-detail", project.slug, trial.pk)
