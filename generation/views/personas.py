"""Growing personas from documents: the form with its estimate, and the page of a growth while it lives and after."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlencode
from zlib import crc32

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from datasets.access import project_view
from datasets.models import Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.errors import Refused
from datasets.verbs import verbs
from generation.forms.personas import GrowPlaceForm, GrowthForm, first_choices
from generation.models import PersonaGrowth
from generation.services.growing import growths
from generation.services.growing.growths import Order
from generation.services.growing.progress import Progress, progress_of
from generation.tasks import call_for_workers

ACTIONS = {
    "cancel": growths.cancel_growth,
    "resume": growths.resume_growth,
    "retry": growths.retry_growth,
}
RECENT = 8


@project_view(Role.CURATOR)
def show(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """The form; for htmx, which sends the whole form, the documents of the corpus that is chosen in it."""
    if request.htmx:
        return _page(request, project, GrowthForm(request.GET, project=project), fragment="documents")
    place = GrowPlaceForm(request.GET).values()
    documents = [place["document"]] if place["document"] else []
    initial = first_choices(project, corpus=place["corpus"], documents=documents)
    return _page(request, project, GrowthForm(project=project, initial=initial))


@project_view(Role.CURATOR)
def begin(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    form = GrowthForm(request.POST, project=project)
    if form.is_valid():
        try:
            growth = growths.start_growth(project=project, order=Order(**form.order()), user=request.user)
        except Refused as refusal:
            form.add_error(refusal.field or None, str(refusal))
        else:
            transaction.on_commit(partial(call_for_workers, growth), robust=True)
            return redirect("generation:persona-growth", project.slug, growth.pk)
    return _page(request, project, form, status=422)


persona_grow = verbs(get=show, post=begin)


@require_POST
@project_view(Role.CURATOR)
def persona_estimate(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _page(request, project, GrowthForm(request.POST, project=project), fragment="summary")


def _page(
    request: HtmxHttpRequest, project: Project, form: GrowthForm, *, fragment: str = "", status: int = 200
) -> HttpResponse:
    order = Order(**form.order()) if form.is_bound and form.is_valid() else None
    context = {
        "form": form,
        "estimate": order and growths.estimate_growth(order),
        "most_calls": growths.MOST_CALLS,
        "offline": order is not None and order.endpoint.is_offline,
        "growths": project.persona_growths.select_related("created_by")[:RECENT],
    }
    return render_page(request, "generation/persona_grow.html", context, fragment=fragment, status=status)


@require_GET
@project_view()
def persona_growth(request: HtmxHttpRequest, project: Project, growth: int) -> HttpResponse:
    """The page; for a poll, which says what it has seen, the progress, and the head if that looks otherwise now."""
    row = get_object_or_404(project.persona_growths.select_related("created_by", "corpus"), pk=growth)
    now = progress_of(row)
    head = _look(row, now)
    context = {
        "growth": row,
        "progress": now,
        "polled": bool(request.htmx),
        "changed": request.GET.get("head") != head,
        "seen": urlencode({"head": head}),
    }
    return render_page(request, "generation/persona_growth.html", context, fragment="progress")


def _look(growth: PersonaGrowth, now: Progress) -> str:
    """How the part of the page looks that a poll leaves alone while it stays as it is."""
    failed = 0 if growth.is_active else now.failed
    return f"{growth.state}.{int(now.waiting > 0)}.{failed}.{int(now.heard.silence is not None)}.{crc32(now.heard.trouble.encode())}"


@require_POST
@project_view(Role.CURATOR)
def persona_growth_action(request: HtmxHttpRequest, project: Project, growth: int, action: str) -> HttpResponse:
    """Cancel, carry on, or try again what failed."""
    row = get_object_or_404(project.persona_growths, pk=growth)
    if action not in ACTIONS:
        raise Http404("No such action.")
    try:
        ACTIONS[action](growth=row, user=request.user)
    except Refused as refusal:
        messages.error(request, str(refusal))
    if row.is_active:
        transaction.on_commit(partial(call_for_workers, row), robust=True)
    return redirect("generation:persona-growth", project.slug, row.pk)
