"""Which conversations have a better and a worse version, and what formats that compare them are given."""

from __future__ import annotations

from django.db.models import Exists, F, Max, Min, OuterRef, Prefetch

from .formats import Rated
from .models import Conversation, Judgement, Project, Version
from .models.conversations import ConversationQuerySet


def with_pairs(rows: ConversationQuerySet, project: Project, gap: float) -> ConversationQuerySet:
    """Those of which the best and the worst judged version are at least `gap` apart, as last judged."""
    judged = Judgement.objects.filter(version__conversation__project=project, overall__isnull=False)
    newer = Judgement.objects.filter(version=OuterRef("version"), overall__isnull=False, pk__gt=OuterRef("pk"))
    latest = judged.filter(~Exists(newer)).order_by().values("version__conversation")
    apart = latest.annotate(best=Max("overall"), worst=Min("overall")).filter(
        best__gt=F("worst"), best__gte=F("worst") + max(0.0, gap - 1e-9)
    )
    return rows.filter(pk__in=apart.values("version__conversation"))


def with_versions(rows: ConversationQuerySet) -> ConversationQuerySet:
    """With what `rated` reads."""
    versions = Version.objects.defer("search", "trace").prefetch_related("judgements").order_by("number")
    return rows.prefetch_related(Prefetch("versions", versions))


def rated(conversation: Conversation) -> list[Rated]:
    """Its judged versions, in their order, each with its latest score. Raises pydantic's ValidationError."""
    found = []
    for version in conversation.versions.all():
        scores = [judgement.overall for judgement in version.judgements.all() if judgement.overall is not None]
        if scores:
            found.append(Rated(version.spoken, scores[-1], version.label or version.get_origin_display().lower()))
    return found
