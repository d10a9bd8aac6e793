"""Two versions of a conversation, side by side."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from datasets.access import project_view
from datasets.asking import asked_conversation
from datasets.models import Conversation, Project, Version
from datasets.pages import HtmxHttpRequest, render_page
from datasets.presenters.comparing import compared
from datasets.presenters.history import versions_of


@require_GET
@project_view()
def conversation_versions(request: HtmxHttpRequest, project: Project, conversation: int) -> HttpResponse:
    """`?a=1&b=3` compares these two; left out, the one that counts and the one that it was made from."""
    row = asked_conversation(project, conversation)
    new = _asked(request, row, "b") or row.head
    old = _asked(request, row, "a") or new.parent or row.versions.exclude(pk=new.pk).order_by("number").first() or new
    versions = list(versions_of(row))
    scores = {version.pk: version.score for version in versions}
    context = {
        "section": "conversations",
        "conversation": row,
        "versions": versions,
        "old": old,
        "new": new,
        "scores": (scores.get(old.pk), scores.get(new.pk)),
        "compared": list(compared(old.spoken, new.spoken)),
        "same_prompt": old.system_prompt == new.system_prompt,
    }
    return render_page(request, "datasets/conversation_versions.html", context, fragment="versions")


def _asked(request: HtmxHttpRequest, conversation: Conversation, name: str) -> Version | None:
    number = request.GET.get(name, "")
    if not number.isdecimal() or len(number) > 9:
        return None
    return get_object_or_404(conversation.versions, number=int(number))
