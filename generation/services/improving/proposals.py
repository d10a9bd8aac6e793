"""What a person does with a proposal: accepts it, declines it, or takes that back."""

from __future__ import annotations

import time

from django.db import transaction
from django.utils import timezone

from datasets.models import Conversation, User
from datasets.services.curating.reviews import HeadChanged
from datasets.services.curating.versions import locked, put_in_place
from datasets.services.errors import Refused
from generation.models import Improvement, ImprovementItem

State = ImprovementItem.State
CHUNK = 100


@transaction.atomic
def accept_proposal(*, item: ImprovementItem, user: User, head: int) -> None:
    """Make it the version that counts. `head` is the id of the version that it was compared with.

    Accepting what is accepted changes nothing. Raises HeadChanged if another version counts by now.
    """
    row = _held(item)
    if row.state == State.ACCEPTED:
        return
    _must_be(row, State.PROPOSED, State.DECLINED)
    conversation = locked([row.conversation_id])[row.conversation_id]
    if conversation.head_id != head:
        raise HeadChanged(
            "Somebody changed this conversation since: below, the proposal is compared with what counts now. "
            "Accept it again to put it in place of that."
        )
    _accept(row, conversation, user)


@transaction.atomic
def decline_proposal(*, item: ImprovementItem, user: User) -> None:
    """Leave the conversation as it is; the proposal stays among its versions. Declining it twice changes nothing."""
    row = _held(item)
    if row.state == State.DECLINED:
        return
    _must_be(row, State.PROPOSED)
    _decide(row, State.DECLINED, user)


@transaction.atomic
def reopen_proposal(*, item: ImprovementItem, user: User) -> None:
    """Take a decision back. What had been accepted gives way to the version before it, with its status and score.

    Raises HeadChanged if the conversation was changed or decided on since.
    """
    row = _held(item)
    _must_be(row, State.ACCEPTED, State.DECLINED)
    if row.state == State.ACCEPTED:
        conversation = locked([row.conversation_id])[row.conversation_id]
        later = conversation.reviews.standing().filter(created__gt=row.decided).exists()
        if conversation.head_id != row.proposal_id or later:
            raise HeadChanged("Somebody has changed or decided on this conversation since: open it and go on there.")
        put_in_place(conversation, row.base, status=row.previous, score=row.before)
    row.state, row.previous, row.decided_by, row.decided = State.PROPOSED, "", None, None
    row.save()


def accept_better(*, improvement: Improvement, user: User, seconds: float) -> bool:
    """Accept what scores higher than what it replaces, for about that long; True if there is more.

    Conversations that were changed since are passed over. Safe to be killed and done again.
    """
    until = time.monotonic() + seconds
    while _accept_some(improvement, user):
        if time.monotonic() > until:
            return improvement.items.better().exists()
    return False


@transaction.atomic
def _accept_some(improvement: Improvement, user: User) -> bool:
    better = improvement.items.better().select_related("proposal", "base", "improvement").order_by("pk")
    items = list(better.select_for_update(of=("self",))[:CHUNK])
    conversations = locked([item.conversation_id for item in items])
    # Between the look and the lock, somebody may have made another version.
    still = [item for item in items if conversations[item.conversation_id].head_id == item.base_id]
    for item in still:
        _accept(item, conversations[item.conversation_id], user)
    return bool(items)


def _held(item: ImprovementItem) -> ImprovementItem:
    rows = ImprovementItem.objects.select_for_update(of=("self",)).select_related("proposal", "base", "improvement")
    return rows.get(pk=item.pk)


def _must_be(item: ImprovementItem, *states: str) -> None:
    if item.state not in states or item.proposal is None:
        raise Refused("There is no proposal here to decide on: look at the list of what was proposed.")


def _accept(item: ImprovementItem, conversation: Conversation, user: User) -> None:
    assert item.proposal is not None
    item.previous = conversation.status
    offline = item.improvement.offline
    put_in_place(conversation, item.proposal, score=item.after, offline=offline)
    _decide(item, State.ACCEPTED, user)


def _decide(item: ImprovementItem, state: str, user: User) -> None:
    item.state, item.decided_by, item.decided = state, user, timezone.now()
    item.save()
