"""The conversations of a project: the list, one of them, and how it was made. Every member reads."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from datasets.access import project_view
from datasets.asking import asked_conversation, asked_filter
from datasets.filters import COUNTED, ConversationFilter
from datasets.forms.conversations import ConversationFilterForm, PlaceForm
from datasets.keyset import Page, keyset
from datasets.models import Conversation, Document, Project, Version
from datasets.pages import HtmxHttpRequest, render_page
from datasets.presenters.history import versions_of
from datasets.presenters.judged import judgements_shown
from datasets.presenters.talk import TraceShown, documents_of, tools_of, utterances

ROWS = 50
LEFT = 500
"""How many of the conversations that are still to come are counted."""


@require_GET
@project_view()
def conversation_list(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    form = ConversationFilterForm(project, request.GET)
    context: dict[str, Any] = {"form": form, "page": Page([])}
    if form.is_valid():
        place = PlaceForm(request.GET).values()
        rows = form.filter.apply(project.conversations.for_list().with_grade())
        context["page"] = keyset(rows, "pk", size=ROWS, descending=True, **place)
        context["filter"] = form.filter
        context["count"] = form.filter.bounded_count(project.conversations.all())
        context["counted"] = COUNTED
    return render_page(
        request, "datasets/conversation_list.html", context, fragment="list", status=200 if form.is_valid() else 422
    )


@require_GET
@project_view()
def conversation_detail(request: HtmxHttpRequest, project: Project, conversation: int) -> HttpResponse:
    """`?version=2` shows an earlier version; the rest of the query is the filter that next and previous walk through."""
    return show_conversation(request, project, asked_conversation(project, conversation), asked_filter(request))


@require_GET
@project_view()
def conversation_trace(request: HtmxHttpRequest, project: Project, conversation: int) -> HttpResponse:
    """Every call behind a version, in full: long, so that the page of the conversation asks for it when it is opened."""
    row = asked_conversation(project, conversation)
    version = asked_version(request, row)
    context = {"conversation": row, "version": version, "trace": TraceShown(version.dialog.trace)}
    return render_page(request, "datasets/conversation_trace.html", context, fragment="calls")


def asked_version(request: HtmxHttpRequest, conversation: Conversation) -> Version:
    number = request.GET.get("version", "")
    if not number.isdecimal() or len(number) > 9:
        return conversation.head
    return get_object_or_404(conversation.versions, number=int(number))


def show_conversation(
    request: HtmxHttpRequest,
    project: Project,
    conversation: Conversation,
    filter: ConversationFilter,
    *,
    status: int = 200,
    **notice: Any,
) -> HttpResponse:
    """The page of a conversation. `notice` may be `problem` (a sentence), `decided` (a conversation that this reviewer has
    just decided) and `last` (true when nothing follows it)."""
    version = asked_version(request, conversation)
    context = {
        "conversation": conversation,
        "version": version,
        "filter": filter,
        **_said(project, version),
        **_around(project, conversation, filter),
        **panels(project, conversation),
        **notice,
    }
    return render_page(request, "datasets/conversation_detail.html", context, fragment="conversation", status=status)


def _said(project: Project, version: Version) -> dict[str, Any]:
    dialog = version.dialog
    documents = Document.objects.filter(pk__in=documents_of(dialog), corpus__project=project, corpus__deleted=None)
    corpora = dict(documents.values_list("pk", "corpus_id"))
    return {
        "utterances": list(utterances(dialog, corpora)),
        "tools": tools_of(dialog),
        "trace": TraceShown(dialog.trace),
        "judgements": judgements_shown(version.judgements.all(), dialog),
        "extra": json.dumps(dialog.extra, ensure_ascii=False, indent=1) if dialog.extra else "",
    }


def _around(project: Project, conversation: Conversation, filter: ConversationFilter) -> dict[str, Any]:
    """The neighbours in the filter, and what the reader should know of the conversation's history."""
    rows = project.conversations.all()
    return {
        "next": filter.next_id(rows, conversation.pk),
        "previous": filter.previous_id(rows, conversation.pk),
        "left": filter.apply(rows).filter(pk__lt=conversation.pk).order_by("-pk")[: LEFT + 1].count(),
        "most_left": LEFT,
        "versions": list(versions_of(conversation)),
        "review": conversation.reviews.standing().select_related("reviewer").first(),
    }


def panels(project: Project, conversation: Conversation) -> dict[str, Any]:
    """What reviewers add: labels and notes."""
    return {
        "labels": list(conversation.labels.all()),
        "all_labels": project.labels.all(),
        "notes": list(conversation.notes.select_related("author")),
    }
