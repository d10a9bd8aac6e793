"""The versions of a conversation, as its pages list them."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from datasets.models import Conversation, Judgement


def versions_of(conversation: Conversation) -> QuerySet[Any]:
    """In the order of their numbers, each with its latest `score`, but without what was said in them."""
    latest = Judgement.objects.filter(version=OuterRef("pk"), overall__isnull=False).order_by("-pk")
    rows = conversation.versions.select_related("author").annotate(score=Subquery(latest.values("overall")[:1]))
    return rows.defer("search", "messages", "trace", "tools", "output", "extra").order_by("number")
