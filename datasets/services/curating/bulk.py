"""One decision, or one label, for what is picked or for everything that a filter matches; and its undoing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, Max, OuterRef
from django.utils import timezone

from datasets.filters import ConversationFilter
from datasets.models import BulkAction, Conversation, Label, Labelling, Project, Review, Status, User
from datasets.models.conversations import ConversationQuerySet
from datasets.services.activity import record_activity
from datasets.services.errors import Refused

CHUNK = 500
QUIET = timedelta(seconds=30)


def newest_id(project: Project) -> int:
    """What a confirmation shows is bounded by it, so that nobody approves what nobody counted."""
    return project.conversations.aggregate(newest=Max("pk"))["newest"] or 0


def affected(
    *, project: Project, filter: ConversationFilter, decision: str = "", label: Label | None = None, up_to: int
) -> int:
    """How many conversations a bulk action would change."""
    return filter.count(_open(project, decision, label).filter(pk__lte=up_to))


@transaction.atomic
def start_bulk(
    *,
    project: Project,
    actor: User,
    filter: ConversationFilter,
    decision: str = "",
    label: Label | None = None,
    up_to: int,
) -> BulkAction:
    """Begin it; `advance` does it. `up_to` is the newest id that its confirmation counted.

    Raises Refused when it asks for neither or both, or would change nothing.
    """
    if bool(decision) == bool(label) or (decision and decision not in Status.values):
        raise Refused("Choose what to do: approve, reject, flag, set back to review, or label.")
    total = affected(project=project, filter=filter, decision=decision, label=label, up_to=up_to)
    if not total:
        raise Refused("Nothing matches that is not so already.")
    action = BulkAction.objects.create(
        project=project, actor=actor, decision=decision, label=label, filter=filter.parameters, total=total,
        up_to=up_to, position=up_to + 1,
    )  # fmt: skip
    text = f"labelled {total} conversations “{label}”" if label else f"set {total} conversations to “{action.verdict}”"
    record_activity(project=project, actor=actor, text=text, path=f"conversations/bulk/{action.pk}/")
    return action


@transaction.atomic
def start_undo(*, action: BulkAction) -> None:
    """Begin to take it back. What somebody decided or labelled since stays as it is."""
    row = BulkAction.objects.select_for_update().get(pk=action.pk)
    if row.state != BulkAction.State.DONE:
        raise Refused("This is under way, or taken back already.")
    row.state, row.position, row.total, row.done = BulkAction.State.UNDOING, row.up_to + 1, row.done, 0
    row.save(update_fields=["state", "position", "total", "done", "updated"])
    text = f"took back a change of {row.total} conversations"
    record_activity(project=row.project, actor=row.actor, text=text, path=f"conversations/bulk/{row.pk}/")


@transaction.atomic
def advance(*, action_id: int) -> bool:
    """Do the next chunk; True while there is more. Two that do it at once wait for each other; an early end loses nothing."""
    action = BulkAction.objects.select_for_update(of=("self",)).select_related("project", "label").get(pk=action_id)
    if not action.is_active:
        return False
    undoing = action.state == BulkAction.State.UNDOING
    seen, changed = (_undo_chunk if undoing else _do_chunk)(action)
    action.done += changed
    if seen:
        action.position = seen[-1]
    else:
        action.state = BulkAction.State.UNDONE if undoing else BulkAction.State.DONE
    action.save(update_fields=["done", "position", "state", "updated"])
    return bool(seen)


def advance_for(*, action_id: int, seconds: float) -> bool:
    """Do chunks for about that long; True if there is more: small ones are over before the page is back."""
    until = time.monotonic() + seconds
    while advance(action_id=action_id):
        if time.monotonic() > until:
            return True
    return False


def left_lying() -> list[int]:
    """Actions that nobody has worked on for a while: whoever did was killed."""
    quiet = BulkAction.objects.filter(updated__lt=timezone.now() - QUIET)
    return list(quiet.filter(state__in=BulkAction.ACTIVE).values_list("pk", flat=True))


def _open(project: Project, decision: str, label: Label | None) -> ConversationQuerySet:
    """Those that are not so already."""
    if label is None:
        return project.conversations.exclude(status=decision)
    return project.conversations.filter(~Exists(Labelling.objects.filter(label=label, conversation=OuterRef("pk"))))


def _do_chunk(action: BulkAction) -> tuple[list[int], int]:
    """The ids that it looked at, newest first, and how many of them it changed."""
    rows = _open(action.project, action.decision, action.label).filter(pk__lt=action.position)
    found = ConversationFilter.read(action.filter).apply(rows).order_by("-pk")
    chunk = list(found.select_for_update(of=("self",)).values_list("pk", "status", "head_id")[:CHUNK])
    if action.label:
        _label(action, chunk)
    else:
        _decide(action, chunk)
    return [pk for pk, _, _ in chunk], len(chunk)


def _decide(action: BulkAction, chunk: Sequence[tuple[int, str, int]]) -> None:
    Review.objects.bulk_create(
        Review(
            conversation_id=pk,
            version_id=head,
            reviewer_id=action.actor_id,
            decision=action.decision,
            previous=status,
            action=action,
        )
        for pk, status, head in chunk
    )
    _set_status((pk for pk, _, _ in chunk), action.decision)


def _label(action: BulkAction, chunk: Sequence[tuple[int, str, int]]) -> None:
    Labelling.objects.bulk_create(
        (
            Labelling(conversation_id=pk, label=action.label, author_id=action.actor_id, action=action)
            for pk, _, _ in chunk
        ),
        ignore_conflicts=True,
    )


def _set_status(ids: Iterable[int], status: str) -> None:
    Conversation.objects.filter(pk__in=list(ids)).update(status=status, updated=timezone.now())


def _undo_chunk(action: BulkAction) -> tuple[list[int], int]:
    if action.label:
        return _unlabel(action)
    reviews = action.reviews.standing().filter(conversation__lt=action.position).order_by("-conversation")
    chunk = list(reviews.values_list("pk", "conversation_id")[:CHUNK])
    ids = [conversation for _, conversation in chunk]
    list(Conversation.objects.select_for_update().filter(pk__in=ids).order_by("-pk").values_list("pk"))
    restored = _still_decided(action, [pk for pk, _ in chunk])
    for status in Status.values:
        _set_status((review.conversation_id for review in restored if review.previous == status), status)
    Review.objects.filter(pk__in=[review.pk for review in restored]).update(withdrawn=timezone.now())
    return ids, len(restored)


def _still_decided(action: BulkAction, reviews: Sequence[int]) -> list[Review]:
    """Those of the action's reviews after which nobody has decided or changed the conversation."""
    later = Review.objects.standing().filter(conversation=OuterRef("conversation"), pk__gt=OuterRef("pk"))
    rows = Review.objects.filter(pk__in=reviews, conversation__status=action.decision).select_related("conversation")
    return [row for row in rows.filter(~Exists(later)) if row.conversation.head_id == row.version_id]


def _unlabel(action: BulkAction) -> tuple[list[int], int]:
    rows = action.labellings.filter(conversation__lt=action.position).order_by("-conversation")
    chunk = list(rows.values_list("pk", "conversation_id")[:CHUNK])
    removed, _ = Labelling.objects.filter(pk__in=[pk for pk, _ in chunk]).delete()
    return [conversation for _, conversation in chunk], removed
