"""The list of runs, and the page of one run while it lives and after."""

from __future__ import annotations

from functools import partial
from typing import get_args
from urllib.parse import urlencode
from zlib import crc32

from django.contrib import messages
from django.db import transaction
from django.db.models import Avg, Count
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import HttpResponseStopPolling

from datasets.access import project_view
from datasets.models import Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.errors import Refused
from generation.engine.protocols import ModelRole
from generation.engine.recipe import Recipe
from generation.forms.budgets import BudgetForm
from generation.frozen import Frozen
from generation.models import Run
from generation.presenters.telling import told
from generation.services.running import progress, runs
from generation.tasks import call_for_workers

ACTIONS = {"pause": runs.pause_run, "resume": runs.resume_run, "cancel": runs.cancel_run, "retry": runs.retry_failed}
PAGE = 50


@require_GET
@project_view()
def run_list(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    page = list(project.runs.before(request.GET.get("before")).select_related("created_by")[: PAGE + 1])
    older = page[PAGE - 1].pk if len(page) > PAGE else None
    context = {"runs": page[:PAGE], "older": older, "active": any(run.is_active for run in page)}
    return render_page(request, "generation/run_list.html", context, fragment="runs")


@require_GET
@project_view()
def run_detail(request: HtmxHttpRequest, project: Project, run: int) -> HttpResponse:
    row = get_object_or_404(project.runs.select_related("created_by", "batch", "recipe"), pk=run)
    return _page(request, row, BudgetForm.of(row))


def _page(request: HtmxHttpRequest, run: Run, budget_form: BudgetForm, status: int = 200) -> HttpResponse:
    """The page; for a poll, which says what it has seen, the progress and the parts that look otherwise now."""
    now = progress.progress_of(run)
    parts = _parts(run, now)
    newest = request.GET.get("newest", "")
    context = {
        "run": run,
        "progress": now,
        # Of a run that lives, whose page asks every two seconds, there may be a hundred thousand to look at.
        "judged": None
        if run.is_active
        else run.batch.conversations.aggregate(mean=Avg("score"), number=Count("score")),
        "budget_form": budget_form,
        "subtitle": f"{run.frozen['corpus_name'] or 'Ungrounded'} · {run.frozen['models']['respondent']['model']}",
        "models": [(role, model) for role in get_args(ModelRole) if (model := run.frozen["models"].get(role))],
        "told": told(Recipe.model_validate(run.spec), Frozen.model_validate(run.frozen)),
        "polled": bool(request.htmx) and "head" in request.GET,
        "changed": {name: request.GET.get(name) != look for name, look in parts.items()},
        "newest_seen": int(newest) if newest.isdecimal() else 0,
        "seen": urlencode(parts | {"newest": now.latest[0].pk if now.latest else 0}),
    }
    return render_page(request, "generation/run_detail.html", context, fragment="progress", status=status)


def _parts(run: Run, now: progress.Progress) -> dict[str, str]:
    """How the parts of the page look that a poll leaves alone while they stay as they are."""
    silence = "" if now.heard.silence is None else str(now.heard.silence // 10)
    return {
        "head": f"{run.state}.{int(run.slots_open > 0)}.{0 if run.is_active else run.slots_failed}",
        "notes": f"{run.state}.{silence}.{int(now.running > 0)}.{crc32((now.heard.trouble + now.sink_trouble).encode())}",
        "errors": ".".join(f"{group.count}-{group.waiting}" for group in now.errors) + f".{run.state}",
    }


@require_POST
@project_view(Role.CURATOR)
def run_action(request: HtmxHttpRequest, project: Project, run: int, action: str) -> HttpResponse:
    """Pause, resume, cancel, or retry what failed."""
    row = get_object_or_404(project.runs, pk=run)
    if action not in ACTIONS:
        raise Http404("No such action.")
    try:
        ACTIONS[action](run=row, user=request.user)
    except Refused as refusal:
        messages.error(request, str(refusal))
    if row.is_active:
        transaction.on_commit(partial(call_for_workers, row), robust=True)
    return redirect("generation:run-detail", project.slug, row.pk)


@require_POST
@project_view(Role.CURATOR)
def run_budget(request: HtmxHttpRequest, project: Project, run: int) -> HttpResponse:
    row = get_object_or_404(project.runs, pk=run)
    form = BudgetForm(request.POST)
    if not form.is_valid():
        return _page(request, row, form, status=422)
    runs.change_budget(run=row, user=request.user, budget=form.budget())
    return redirect("generation:run-detail", project.slug, row.pk)


@require_GET
@project_view()
def batch_run(request: HtmxHttpRequest, project: Project, batch: int) -> HttpResponse:
    """The run that made a batch: the archive links here without knowing runs."""
    row = get_object_or_404(project.runs, batch=batch)
    return redirect("generation:run-detail", project.slug, row.pk)


@require_GET
@project_view()
def running_now(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """The small bar in the frame: the newest run that runs."""
    row = project.runs.filter(state=Run.State.RUNNING).first()
    if row is None:
        return HttpResponseStopPolling()
    ended = row.slots_done + row.slots_failed
    context = {"run": row, "percent": round(100 * ended / row.slots_total)}
    return render(request, "generation/running_now.html", context)
