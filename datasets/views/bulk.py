"""One decision or label for what is picked, or for everything that a filter matches: the question first, then the work, then the way back."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from datasets import pulse, tasks
from datasets.access import project_view
from datasets.asking import asked_filter
from datasets.filters import ConversationFilter
from datasets.forms.conversations import BulkForm, ConversationFilterForm
from datasets.models import BulkAction, Label, Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.curating import bulk, conversations
from datasets.services.errors import Refused

HEAD_START = 0.8
"""Seconds that a request spends on the work itself, so that what is small is done when the answer comes."""


@project_view(Role.ANNOTATOR)
def bulk_new(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """How many conversations it would change, and a button that does it. `?decision=approved`, or nothing for a label."""
    wanted, form = asked_filter(request), BulkForm(request.GET)
    return _ask(request, project, wanted, form if form.is_valid() else BulkForm({}))


@project_view(Role.ANNOTATOR)
def bulk_start(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    wanted, form = asked_filter(request), BulkForm(request.POST)
    try:
        if not form.is_valid() or form.cleaned_data["up_to"] is None:
            raise Refused("Choose what to do with these conversations.")
        action = _start(request, project, wanted, **form.cleaned_data)
    except Refused as refusal:
        return _ask(request, project, wanted, form, problem=str(refusal), status=422)
    _work(action)
    return redirect("datasets:bulk-detail", project.slug, action.pk)


@require_GET
@project_view()
def bulk_detail(request: HtmxHttpRequest, project: Project, action: int) -> HttpResponse:
    row = get_object_or_404(project.bulk_actions.select_related("label", "actor"), pk=action)
    silent = row.is_active and not pulse.listens("default")
    context = {"action": row, "filter": ConversationFilter.read(row.filter), "silent": silent}
    return render_page(request, "datasets/conversation_bulk_detail.html", context, fragment="progress")


@require_POST
@project_view(Role.ANNOTATOR)
def bulk_undo(request: HtmxHttpRequest, project: Project, action: int) -> HttpResponse:
    row = get_object_or_404(project.bulk_actions, pk=action)
    try:
        bulk.start_undo(action=row)
    except Refused:
        return redirect("datasets:bulk-detail", project.slug, row.pk)  # which says how it stands
    _work(row)
    return redirect("datasets:bulk-detail", project.slug, row.pk)


def _start(
    request: HtmxHttpRequest, project: Project, filter: ConversationFilter, decision: str, label_name: str, up_to: int
) -> BulkAction:
    with transaction.atomic():
        label: Label | None = conversations.label_named(project=project, name=label_name) if label_name else None
        return bulk.start_bulk(
            project=project, actor=request.user, filter=filter, decision=decision, label=label, up_to=up_to
        )


def _work(action: BulkAction) -> None:
    if bulk.advance_for(action_id=action.pk, seconds=HEAD_START):
        tasks.carry_on_bulk.delay(action.pk)


def _ask(
    request: HtmxHttpRequest,
    project: Project,
    filter: ConversationFilter,
    form: BulkForm,
    *,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    form.full_clean()
    decision, up_to = form.cleaned_data.get("decision", ""), bulk.newest_id(project)
    form.fields["label_name"].required = not decision
    described = ConversationFilterForm(project, filter.parameters)
    described.full_clean()
    context: dict[str, Any] = {
        "form": form,
        "filter": filter,
        "described": described,
        "decision": decision,
        "up_to": up_to,
    }
    context["matching"] = filter.count(project.conversations.filter(pk__lte=up_to))
    if decision:
        context["changing"] = bulk.affected(project=project, filter=filter, decision=decision, up_to=up_to)
    return render_page(request, "datasets/conversation_bulk.html", {**context, "problem": problem}, status=status)
