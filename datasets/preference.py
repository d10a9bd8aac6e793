"""Which conversations have a better and a worse version, and what formats that compare them are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Exists, F, Max, Min, OuterRef, Prefetch, Q, Subquery

from .formats import Rated
from .formats.contract import PREFERENCE, REJECTED
from .models import Judgement, Project, Version
from .models.conversations import ConversationQuerySet


def with_pairs(
    rows: ConversationQuerySet, project: Project, gap: float, *, among: Sequence[int] | None = None
) -> ConversationQuerySet:
    """Those of which the best and the worst judged version are at least `gap` apart, as last judged, and those that
    were imported as pairs.

    Where `rows` are a few, their ids as `among` keep the judgements of all others from being read.
    """
    judgements = Judgement.objects.filter(version__conversation__project=project)
    if among is not None:
        judgements = judgements.filter(version__conversation__in=among)
    judged = judgements.filter(overall__isnull=False)
    newer = Judgement.objects.filter(version=OuterRef("version"), overall__isnull=False, pk__gt=OuterRef("pk"))
    latest = judged.filter(~Exists(newer)).order_by().values("version__conversation")
    apart = latest.annotate(best=Max("overall"), worst=Min("overall")).filter(
        best__gt=F("worst"), best__gte=F("worst") + max(0.0, gap - 1e-9)
    )
    rejected = judgements.filter(evaluator=PREFERENCE, grade=REJECTED).order_by()
    brought = Q(pk__in=rejected.values("version__conversation"))
    return rows.filter(Q(pk__in=apart.values("version__conversation")) | brought)


def with_versions(rows: ConversationQuerySet) -> ConversationQuerySet:
    """With what `rated` reads."""
    own = Judgement.objects.filter(version=OuterRef("pk"))
    latest = own.filter(overall__isnull=False).order_by("-pk")
    versions = Version.objects.defer("search", "trace").annotate(
        score=Subquery(latest.values("overall")[:1]),
        rejected=Exists(own.filter(evaluator=PREFERENCE, grade=REJECTED)),
        counts=Q(pk=F("conversation__head")),
    )
    compared = versions.filter(Q(score__isnull=False) | Q(rejected=True) | Q(counts=True)).order_by("number")
    return rows.prefetch_related(Prefetch("versions", compared, to_attr="compared_versions"))


def rated(conversation: Any) -> list[Rated]:
    """The versions of a conversation read `with_versions` that can be compared, in their order: the judged ones, the one
    that counts, and one that was rejected for it. Raises pydantic's ValidationError."""
    return [
        Rated(
            version.spoken,
            version.score,
            version.label or version.get_origin_display().lower(),
            "rejected" if version.rejected else "chosen" if version.counts else "",
        )
        for version in conversation.compared_versions
    ]
