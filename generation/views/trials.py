"""Pages that wait for a small piece of model work and show what came of it."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from datasets import pulse
from datasets.access import project_view
from datasets.models import Project, PromptRole, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.presenters.talk import utterances
from datasets.schema import Dialog
from generation.forms.drafts import DraftForm
from generation.models import Trial
from generation.services import trials
from generation.tasks import run_trial

SECTIONS = {
    Trial.Kind.ENDPOINT: "endpoints",
    Trial.Kind.PREVIEW: "runs",
    Trial.Kind.CORRESPONDENT: "prompts",
    Trial.Kind.EMBEDDING: "corpora",
}
"""Those with a page of their own, each with the section that it belongs to."""


@require_GET
@project_view(Role.CURATOR)
def trial_detail(request: HtmxHttpRequest, project: Project, trial: int) -> HttpResponse:
    row = get_object_or_404(project.trials, pk=trial, kind__in=SECTIONS)
    context = {
        "trial": row,
        "listens": not row.is_open or pulse.listens("default"),
        "back": _back(project, row),
        "section": SECTIONS[Trial.Kind(row.kind)],
        "result_template": f"generation/trial_{row.kind}.html",
        **_spelled_out(row),
    }
    return render_page(request, "generation/trial.html", context, fragment="result")


def _back(project: Project, trial: Trial) -> str:
    """The page that asked, as it was."""
    if trial.kind == Trial.Kind.PREVIEW:
        return f"{reverse('generation:run-new', args=[project.slug])}?trial={trial.pk}"
    if trial.kind == Trial.Kind.CORRESPONDENT:
        return reverse("datasets:prompt-detail", args=[project.slug, trial.request["prompt"]])
    if trial.kind == Trial.Kind.EMBEDDING:
        tried = urlencode({name: trial.request[name] for name in ("endpoint", "model")})
        return f"{reverse('generation:corpus-embedding', args=[project.slug, trial.request['corpus']])}?{tried}"
    return reverse("generation:endpoint-detail", args=[project.slug, trial.request["endpoint"]])


def _spelled_out(trial: Trial) -> dict[str, Any]:
    """A preview's attempts, the best first, each with the call behind each message, and each call with its texts."""
    attempts = [_attempt(attempt, number) for number, attempt in enumerate(trial.result.get("attempts", []), 1)]
    if not attempts:
        return {}
    best = attempts.pop(trial.result["best"])
    return {"attempts": [best, *attempts]}


def _attempt(attempt: dict[str, Any], number: int) -> dict[str, Any]:
    dialog = Dialog.model_validate(attempt["dialog"])
    lines = list(utterances(dialog, {}))
    texts = dialog.trace.texts
    calls = [
        {"step": step, "request": [(role, texts[text]) for role, text in step.request], "reply": texts[step.reply]}
        for step in dialog.trace.steps
    ]
    return attempt | {"number": number, "lines": lines, "calls": calls}


@require_POST
@project_view(Role.CURATOR)
def draft_correspondent(request: HtmxHttpRequest, project: Project, prompt: int) -> HttpResponse:
    """Write a correspondent prompt that suits a respondent prompt, with one model call."""
    row = get_object_or_404(project.prompts, pk=prompt, role=PromptRole.RESPONDENT)
    form = DraftForm(request.POST, project=project)
    if not form.is_valid():
        messages.error(request, "Choose an endpoint that has a chat model.")
        return redirect("datasets:prompt-detail", project.slug, row.pk)
    wanted = {"prompt": row.pk, "endpoint": form.cleaned_data["endpoint"].pk}
    trial = trials.ask_for(project=project, kind=Trial.Kind.CORRESPONDENT, request=wanted, user=request.user)
    transaction.on_commit(partial(run_trial.delay, trial.pk), robust=True)
    return redirect("generation:trial-detail", project.slug, trial.pk)
