"""What reviewers do to one conversation. Each answers a form, and an htmx request with the part of the page that changed."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from django_htmx.http import push_url

from datasets.access import project_view
from datasets.asking import asked_conversation, asked_filter
from datasets.filters import ConversationFilter
from datasets.forms.conversations import VerdictForm
from datasets.models import Conversation, Project, Role, Status, User
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.curating import conversations, reviews
from datasets.services.errors import Refused

from .conversations import panels, show_conversation

UNREADABLE = "That is no decision: use the buttons below the conversation."


@require_GET
@project_view(Role.ANNOTATOR)
def review_start(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """The first conversation of the filter that waits for a verdict; the list, where none does."""
    asked = asked_filter(request)
    waiting = asked.model_copy(update={"status": Status.GENERATED})
    first = waiting.first_id(project.conversations.all())
    if first is not None:
        return redirect(address_of(project, first, waiting))
    messages.info(request, "Nothing of this waits for a verdict." if asked.query else "Nothing waits for a verdict.")
    return redirect(list_address(project, asked))


@require_POST
@project_view(Role.ANNOTATOR)
def conversation_review(request: HtmxHttpRequest, project: Project, conversation: int) -> HttpResponse:
    """Decide, and go on to the next conversation of the filter; setting one back to review stays with it."""
    wanted, row = asked_filter(request), asked_conversation(project, conversation)
    try:
        _record(row, request.user, VerdictForm(request.POST))
    except Refused as refusal:
        fresh = asked_conversation(project, conversation)
        return show_conversation(request, project, fresh, wanted, problem=str(refusal), status=422)
    decided = asked_conversation(project, conversation)
    if decided.status == Status.GENERATED:
        return go_to(request, project, decided, wanted)
    following = wanted.next_id(project.conversations.all(), decided.pk)
    target = asked_conversation(project, following) if following else decided
    return go_to(request, project, target, wanted, decided=decided, last=following is None)


def _record(row: Conversation, reviewer: User, form: VerdictForm) -> None:
    if not form.is_valid():
        raise Refused(UNREADABLE)
    said = form.cleaned_data
    if said["seen"] and row.status not in (said["seen"], said["decision"]):
        raise Refused(_decided_since(row))
    reviews.record_review(conversation=row, reviewer=reviewer, decision=said["decision"], version=said["version"])


def _decided_since(row: Conversation) -> str:
    latest = row.reviews.standing().select_related("reviewer").first()
    who = latest.reviewer if latest and latest.reviewer else "Somebody"
    return f"{who} decided on this while you were reading. Decide again if you see it otherwise."


@require_POST
@project_view(Role.ANNOTATOR)
def conversation_undo(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """Take back my latest decision in the project, and go to the conversation that it was about."""
    wanted = asked_filter(request)
    try:
        row = reviews.undo_review(project=project, reviewer=request.user)
    except Refused as refusal:
        messages.warning(request, str(refusal))
        return back_to(request, project, request.POST.get("conversation", ""), wanted)
    return go_to(request, project, asked_conversation(project, row.pk), wanted, restored=True)


def list_address(project: Project, filter: ConversationFilter) -> str:
    address = reverse("datasets:conversation-list", args=[project.slug])
    return f"{address}?{filter.query}" if filter.query else address


def address_of(project: Project, pk: int, filter: ConversationFilter) -> str:
    address = reverse("datasets:conversation-detail", args=[project.slug, pk])
    return f"{address}?{filter.query}" if filter.query else address


def go_to(
    request: HtmxHttpRequest, project: Project, row: Conversation, filter: ConversationFilter, **notice: Any
) -> HttpResponse:
    """The page of `row`: in place for htmx, by a redirect otherwise."""
    address = address_of(project, row.pk, filter)
    if request.htmx:
        return push_url(show_conversation(request, project, row, filter, **notice), address)
    return redirect(address)


def back_to(request: HtmxHttpRequest, project: Project, pk: str, filter: ConversationFilter) -> HttpResponse:
    """Where the form was sent from. htmx follows the redirect and shows the messages with the whole page."""
    if pk.isdecimal() and len(pk) < 19:
        address = address_of(project, int(pk), filter)
    else:
        address = reverse("datasets:conversation-list", args=[project.slug])
    if not request.htmx:
        return redirect(address)
    return HttpResponse(headers={"HX-Redirect": address})


# -- labels and notes ---------------------------------------------------------------------------------------------------


@require_POST
@project_view(Role.ANNOTATOR)
def conversation_label(request: HtmxHttpRequest, project: Project, conversation: int) -> HttpResponse:
    row = asked_conversation(project, conversation)
    try:
        conversations.add_label(conversation=row, name=request.POST.get("name", ""), author=request.user)
    except Refused as refusal:
        return show_panel(request, project, row, "labels", label_problem=str(refusal))
    return show_panel(request, project, row, "labels")


@require_POST
@project_view(Role.ANNOTATOR)
def conversation_unlabel(request: HtmxHttpRequest, project: Project, conversation: int, label: int) -> HttpResponse:
    row = asked_conversation(project, conversation)
    conversations.remove_label(conversation=row, label_id=label)
    return show_panel(request, project, row, "labels")


@require_POST
@project_view(Role.ANNOTATOR)
def conversation_note(request: HtmxHttpRequest, project: Project, conversation: int) -> HttpResponse:
    row, text = asked_conversation(project, conversation), request.POST.get("text", "")
    try:
        conversations.add_note(conversation=row, text=text, author=request.user)
    except Refused as refusal:
        return show_panel(request, project, row, "notes", note_problem=str(refusal), note_text=text)
    return show_panel(request, project, row, "notes")


@require_POST
@project_view(Role.ANNOTATOR)
def conversation_note_delete(request: HtmxHttpRequest, project: Project, conversation: int, note: int) -> HttpResponse:
    row = asked_conversation(project, conversation)
    found = get_object_or_404(row.notes, pk=note, author=request.user)
    conversations.delete_note(note=found, actor=request.user)
    return show_panel(request, project, row, "notes")


def show_panel(
    request: HtmxHttpRequest, project: Project, row: Conversation, panel: str, **problem: str
) -> HttpResponse:
    """The panel for htmx; without it the whole page, by a redirect unless something is wrong."""
    wanted = asked_filter(request)
    if request.htmx:
        context = {"conversation": row, "filter": wanted, **panels(project, row), **problem}
        status = 422 if problem else 200
        return render_page(request, "datasets/conversation_side.html", context, fragment=panel, status=status)
    if problem:
        return show_conversation(request, project, row, wanted, status=422, **problem)
    return redirect(address_of(project, row.pk, wanted))
