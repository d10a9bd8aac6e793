"""The life of an improvement, from its order to its end, as changes of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from datasets.filters import ConversationFilter
from datasets.models import Batch, Project, User
from datasets.models.conversations import ConversationQuerySet
from datasets.services.activity import record_activity
from datasets.services.curating.bulk import newest_id
from datasets.services.errors import Refused
from generation.engine.mending import Mending
from generation.models import Improvement, ImprovementItem
from generation.services.improving.casting import cast_batches
from generation.services.work import pullers
from generation.services.work.orders import change_state, run_again

State = ImprovementItem.State
MOST = 10_000
"""Conversations in one improvement: somebody is to read every proposal."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which conversations are meant: those that the filter matches up to an id."""

    filter: ConversationFilter = field(default_factory=ConversationFilter)
    up_to: int | None = None

    def rows(self, project: Project) -> ConversationQuerySet:
        """Rows that no run of ours made have no schema to be mended by, and stay as they are."""
        rows = project.conversations.filter(Q(head__output__isnull=True) | Q(batch__kind=Batch.Kind.RUN))
        up_to = newest_id(project) if self.up_to is None else self.up_to
        return self.filter.apply(rows.filter(pk__lte=up_to))


@transaction.atomic
def start_improvement(*, project: Project, selection: Selection, wanted: Mending, user: User | None) -> Improvement:
    """Raises Refused when nothing or too much is selected, or a role has nobody to speak it."""
    chosen = selected(project, selection)
    casts = cast_batches(project=project, wanted=wanted, batches={batch for _, _, batch, _ in chosen})
    improvement = Improvement.objects.create(
        project=project,
        filter=selection.filter.parameters,
        spec=wanted.model_dump(mode="json"),
        frozen=casts.model_dump(mode="json"),
        offline=any(cast.offline for cast in casts.casts),
        total=len(chosen),
        created_by=user,
    )
    _write_items(improvement, chosen)
    note(improvement, user, f"asked for {improvement.total} conversations to be improved")
    return improvement


Chosen = tuple[int, int, int, float | None]
"""A conversation, its head, its batch and its score."""


def selected(project: Project, selection: Selection) -> list[Chosen]:
    """By batch, so that those that were made alike are improved one after the other."""
    rows = selection.rows(project).order_by("batch", "-pk").values_list("pk", "head_id", "batch_id", "score")
    chosen = list(rows[: MOST + 1])
    if not chosen:
        raise Refused("No conversation is selected that could be improved: widen the choice.")
    if len(chosen) > MOST:
        raise Refused(f"More than {MOST:,} conversations are selected: narrow the filter and go by parts.")
    return chosen


def _write_items(improvement: Improvement, chosen: Sequence[Chosen]) -> None:
    columns = "improvement_id, conversation_id, base_id, before, state, attempts, error, previous, updated"
    now = timezone.now()
    with connection.cursor() as cursor, cursor.copy(f"COPY generation_improvementitem ({columns}) FROM STDIN") as copy:
        for pk, head, _, score in chosen:
            copy.write_row((improvement.pk, pk, head, score, State.PENDING.value, 0, "", "", now))


def note(improvement: Improvement, user: User | None, text: str) -> None:
    record_activity(project=improvement.project, actor=user, text=text, path=f"improvements/{improvement.pk}/")


@transaction.atomic
def cancel_improvement(*, improvement: Improvement, user: User) -> None:
    """What is in flight is dropped; proposals stay, to be accepted or declined."""
    # Items before their improvement, as a landing locks them.
    improvement.pieces.cancel()
    among = [Improvement.State.RUNNING, Improvement.State.FAILED]
    if change_state(improvement, to=Improvement.State.CANCELLED, among=among, reason=f"Cancelled by {user}.", end=True):
        note(improvement, user, "cancelled an improvement")


def resume_improvement(*, improvement: Improvement, user: User) -> None:
    """Carry on after a failure that somebody has mended."""
    if not improvement.pieces.open().exists():
        raise Refused("Nothing is left to do: “Retry failed” tries what failed again.")
    if change_state(improvement, to=Improvement.State.RUNNING, among=[Improvement.State.FAILED]):
        pullers.wake(improvement)
        note(improvement, user, "resumed an improvement")


@transaction.atomic
def retry_failed(*, improvement: Improvement, user: User) -> int:
    """Open what failed again. Returns how many there were."""
    count = improvement.pieces.retry()
    if count:
        if not run_again(improvement, failed=F("failed") - count):
            raise Refused("What was cancelled stays so: improve these conversations anew.")
        note(improvement, user, f"asked for {count} failed improvements again")
    return count


def finish_improvement(improvement: Improvement) -> bool:
    """Close it if every conversation has its proposal or its failure."""
    if improvement.pieces.open().exists():
        return False
    return change_state(improvement, to=Improvement.State.DONE, among=[Improvement.State.RUNNING], end=True)
