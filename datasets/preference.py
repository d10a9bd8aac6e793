"""Which conversations have a better and a worse version, and what formats that compare them are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Exists, F, Max, Min, OuterRef, Prefetch, Subquery

from .formats import Rated
from .models import Judgement, Project, Version
from .models.conversations import ConversationQuerySet


def with_pairs(
    rows: ConversationQuerySet, project: Project, gap: float, *, among: Sequence[int] | None = None
) -> ConversationQuerySet:
    """Those of which the best and the worst judged version are at least `gap` apart, as last judged.

    Where `rows` are a few, their ids as `among` keep the judgements of all others from being read.
    """
    judged = Judgement.objects.filter(version__conversation__project=project, overall__isnull=False)
    if among is not None:
        judged = judged.filter(version__conversation__in=among)
    newer = Judgement.objects.filter(version=OuterRef("version"), overall__isnull=False, pk__gt=OuterRef("pk"))
    latest = judged.filter(~Exists(newer)).order_by().values("version__conversation")
    apart = latest.annotate(best=Max("overall"), worst=Min("overall")).filter(
        best__gt=F("worst"), best__gte=F("worst") + max(0.0, gap - 1e-9)
    )
    return rows.filter(pk__in=apart.values("version__conversation"))


def with_versions(rows: ConversationQuerySet) -> ConversationQuerySet:
    """With what `rated` reads."""
    latest = Judgement.objects.filter(version=OuterRef("pk"), overall__isnull=False).order_by("-pk")
    versions = Version.objects.defer("search", "trace").annotate(score=Subquery(latest.values("overall")[:1]))
    judged = versions.filter(score__isnull=False).order_by("number")
    return rows.prefetch_related(Prefetch("versions", judged, to_attr="judged_versions"))


def rated(conversation: Any) -> list[Rated]:
    """The judged versions of a conversation read `with_versions`, in their order. Raises pydantic's ValidationError."""
    return [
        Rated(version.spoken, version.score, version.label or version.get_origin_display().lower())
        for version in conversation.judged_versions
    ]
