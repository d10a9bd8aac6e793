"""What people decide of conversations, and how they take it back."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from datasets.models import Conversation, Project, Review, Status, User
from datasets.services.errors import Refused


class HeadChanged(Refused):
    """Somebody made a newer version while this one was being read."""


@transaction.atomic
def record_review(*, conversation: Conversation, reviewer: User, decision: str, version: int) -> Review | None:
    """Decide on `version`, the id of the version that the reviewer read. Deciding what already stands changes nothing
    and returns None, so a form may be sent twice.

    Raises HeadChanged if another version has become the head since, and Refused for a decision that does not exist.
    """
    if decision not in Status.values:
        raise Refused("That is no decision: approve, reject or flag it, or set it back to review.")
    row = Conversation.objects.select_for_update().get(pk=conversation.pk)
    if row.head_id != version:
        raise HeadChanged("Somebody changed this conversation while you were reading: read the new version first.")
    if row.status == decision:
        return None
    review = Review.objects.create(
        conversation=row, version_id=version, reviewer=reviewer, decision=decision, previous=row.status
    )
    set_status(row, decision)
    return review


@transaction.atomic
def undo_review(*, project: Project, reviewer: User) -> Conversation:
    """Take back the reviewer's latest decision in the project that stands, and restore the status that it found.

    Raises Refused when there is none, or when somebody has decided since.
    """
    mine = Review.objects.standing().filter(conversation__project=project, reviewer=reviewer, action=None)
    review = mine.select_for_update(of=("self",)).order_by("-pk").first()
    if review is None:
        raise Refused("There is no decision of yours to take back.")
    row = Conversation.objects.select_for_update().get(pk=review.conversation_id)
    latest = row.reviews.standing().order_by("-pk").first()
    if latest != review or row.status != review.decision or row.head_id != review.version_id:
        raise Refused("Somebody has changed or decided that conversation since: open it and decide again.")
    review.withdrawn = timezone.now()
    review.save(update_fields=["withdrawn"])
    set_status(row, review.previous)
    return row


def set_status(row: Conversation, status: str) -> None:
    row.status = status
    row.save(update_fields=["status", "updated"])
