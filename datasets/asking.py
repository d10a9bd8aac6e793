"""What conversation a request means, and within which filter."""

from __future__ import annotations

from django.core.exceptions import BadRequest
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from pydantic import ValidationError

from datasets.filters import ConversationFilter
from datasets.models import Conversation, Project


def asked_filter(request: HttpRequest) -> ConversationFilter:
    """The filter in the address. A broken one is refused: ignoring it would mean more conversations than were asked for."""
    try:
        return ConversationFilter.asked(request.GET)
    except ValidationError as error:
        raise BadRequest("The filter in the address cannot be read: go back to the list and choose again.") from error


def asked_conversation(project: Project, pk: int) -> Conversation:
    rows = project.conversations.with_head().select_related("batch", "persona")
    return get_object_or_404(rows, pk=pk)
