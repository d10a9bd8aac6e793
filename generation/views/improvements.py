"""Having conversations improved: the form with its estimate, and the page of an improvement while it lives and after."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from datasets.access import project_view
from datasets.asking import asked_filter
from datasets.filters import ConversationFilter
from datasets.forms.conversations import ConversationFilterForm, PlaceForm
from datasets.keyset import keyset
from datasets.models import Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.curating.bulk import newest_id
from datasets.services.errors import Refused
from datasets.verbs import verbs
from generation.forms.estimates import unfinished
from generation.forms.improvements import ImprovementForm
from generation.models import Improvement
from generation.models.endpoints import OFFLINE
from generation.services.improving import improvements
from generation.services.improving import progress as improvement_progress
from generation.services.improving.estimating import estimate_improvement
from generation.services.improving.improvements import Selection
from generation.tasks import call_for_workers

ACTIONS = {
    "cancel": improvements.cancel_improvement,
    "resume": improvements.resume_improvement,
    "retry": improvements.retry_failed,
}
ROWS = 50


@require_GET
@project_view()
def improvement_list(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    place = PlaceForm(request.GET).values()
    page = keyset(project.improvements.select_related("created_by"), "pk", size=ROWS, descending=True, **place)
    decided = improvement_progress.decided(page.rows)
    rows = [(row, decided.get(row.pk, 0)) for row in page.rows]
    context = {"section": "conversations", "page": page, "rows": rows}
    return render_page(request, "generation/improvement_list.html", context, fragment="list")


@project_view(Role.CURATOR)
def show(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """The form for what the filter in the address matches."""
    initial: dict[str, Any] = {"up_to": newest_id(project)}
    rows = Selection(asked_filter(request)).rows(project)
    if not rows.filter(batch__run__isnull=False).exists():  # nobody to speak as before
        speakers = project.endpoints.exclude(chat_model="").order_by("-pk")
        initial["endpoint"] = speakers.exclude(preset=OFFLINE).first() or speakers.first()
    return _form(request, project, ImprovementForm(project=project, initial=initial))


@project_view(Role.CURATOR)
def begin(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    form = ImprovementForm(request.POST, project=project)
    if form.is_valid():
        try:
            row = improvements.start_improvement(
                project=project, selection=_selection(request, form), wanted=form.wanted(), user=request.user
            )
        except Refused as refusal:
            form.add_error(refusal.field if refusal.field in form.fields else None, str(refusal))
        else:
            transaction.on_commit(partial(call_for_workers, row), robust=True)
            return redirect("generation:improvement-detail", project.slug, row.pk)
    return _form(request, project, form, status=422)


improvement_new = verbs(get=show, post=begin)


@require_POST
@project_view(Role.CURATOR)
def improvement_estimate(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """The side summary, reckoned anew at each change of the form."""
    form = ImprovementForm(request.POST, project=project)
    return render(request, "generation/improvement_form.html#summary", _estimate(request, project, form))


def _selection(request: HttpRequest, form: ImprovementForm) -> Selection:
    return Selection(asked_filter(request), form.cleaned_data["up_to"])


def _estimate(request: HttpRequest, project: Project, form: ImprovementForm) -> dict[str, Any]:
    if not form.is_valid():
        return {"refusal": unfinished(form)}
    try:
        selection = _selection(request, form)
        return {"estimate": estimate_improvement(project=project, selection=selection, wanted=form.wanted())}
    except Refused as refusal:
        return {"refusal": str(refusal)}


def _form(request: HtmxHttpRequest, project: Project, form: ImprovementForm, status: int = 200) -> HttpResponse:
    wanted = asked_filter(request)
    described = ConversationFilterForm(project, wanted.parameters)
    described.full_clean()
    context = {
        "section": "conversations",
        "form": form,
        "filter": wanted,
        "described": described,
        # An unbound form asks for nothing yet: bind what it shows, so that the first look has an estimate as well.
        **_estimate(request, project, form if form.is_bound else form.as_posted()),
    }
    return render_page(request, "generation/improvement_form.html", context, status=status)


@require_GET
@project_view()
def improvement_detail(request: HtmxHttpRequest, project: Project, improvement: int) -> HttpResponse:
    row = get_object_or_404(project.improvements.select_related("created_by"), pk=improvement)
    items = row.items.select_related("conversation").order_by("pk")
    described = ConversationFilterForm(project, ConversationFilter.read(row.filter).parameters)
    described.full_clean()
    context = {
        "section": "conversations",
        "improvement": row,
        "progress": improvement_progress.progress_of(row),
        "page": keyset(items, "pk", size=ROWS, descending=False, **PlaceForm(request.GET).values()),
        "described": described,
        "models": _models(row),
    }
    return render_page(request, "generation/improvement_detail.html", context, fragment="improvement")


def _models(improvement: Improvement) -> list[tuple[str, str]]:
    """Who speaks in each role, in words."""
    spoken: dict[str, dict[str, None]] = {}
    for cast in improvement.frozen["casts"]:
        for role, model in cast["models"].items():
            spoken.setdefault(role, {})[f"{model['model']} at {model['endpoint_name']}"] = None
    return [(role, ", ".join(models)) for role, models in spoken.items()]


@require_POST
@project_view(Role.CURATOR)
def improvement_action(request: HtmxHttpRequest, project: Project, improvement: int, action: str) -> HttpResponse:
    """Cancel, resume, or retry what failed."""
    row = get_object_or_404(project.improvements, pk=improvement)
    if action not in ACTIONS:
        raise Http404("No such action.")
    try:
        ACTIONS[action](improvement=row, user=request.user)
    except Refused as refusal:
        messages.error(request, str(refusal))
    if row.is_active:
        transaction.on_commit(partial(call_for_workers, row), robust=True)
    return redirect("generation:improvement-detail", project.slug, row.pk)
