"""Where a project stands: the numbers of its card and of its front page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from django.db.models import Count, Max, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from datasets.models import Batch, Conversation, Corpus, Project, SourceFile, Status, User


def _count(rows: QuerySet) -> Coalesce:
    """The number of `rows` that belong to the outer project, as a subquery of its own: joins would multiply them."""
    counted = rows.order_by().values("project").annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(counted), 0)


def cards_for(user: User) -> QuerySet[Project]:
    """The user's projects, each with the numbers of its card."""
    mine = Conversation.objects.filter(project=OuterRef("pk"))
    last = Batch.objects.filter(project=OuterRef("pk"), kind=Batch.Kind.RUN).order_by("-pk")
    return Project.objects.visible_to(user).annotate(
        corpora_count=_count(Corpus.objects.filter(project=OuterRef("pk"))),
        conversation_count=_count(mine),
        approved_count=_count(mine.filter(status=Status.APPROVED)),
        waiting_count=_count(mine.filter(status=Status.GENERATED)),
        last_run=Subquery(last.values("created")[:1]),
        last_run_name=Subquery(last.values("name")[:1]),
    )


@dataclass(frozen=True, slots=True)
class Overview:
    corpora: int
    files: int
    passages: int
    personas: int
    prompts: int
    runs: int
    statuses: dict[str, int]
    exports: int
    last_export: object

    @property
    def conversations(self) -> int:
        return sum(self.statuses.values())

    @property
    def decided(self) -> int:
        return self.conversations - self.statuses.get(Status.GENERATED, 0)

    @property
    def waiting(self) -> int:
        return self.statuses.get(Status.GENERATED, 0)

    @property
    def approved(self) -> int:
        return self.statuses.get(Status.APPROVED, 0)


def overview_of(project: Project) -> Overview:
    counts = project.conversations.order_by().values_list("status").annotate(n=Count("pk"))
    # Files keep their passages counted: a project may have a million.
    files = SourceFile.objects.filter(corpus__project=project).aggregate(
        files=Count("pk"), passages=Sum("passage_count")
    )
    return Overview(
        corpora=project.corpora.count(),
        files=files["files"],
        passages=files["passages"] or 0,
        personas=project.personas.usable().count(),
        prompts=project.prompts.filter(archived=False).count(),
        runs=project.batches.filter(kind=Batch.Kind.RUN).count(),
        statuses=Counter(dict(counts)),
        exports=project.exports.count(),
        last_export=project.exports.aggregate(last=Max("created"))["last"],
    )
