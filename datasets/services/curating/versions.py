"""Further versions of conversations: proposed beside the one that counts, and put in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Max

from datasets.models import Conversation, Status, Version
from datasets.schema import Dialog
from datasets.services.curating.conversations import opening_of, version_columns


@dataclass(frozen=True, slots=True)
class Proposed:
    """A version to be. `parent` is the id of the version that it was made from."""

    conversation: int
    parent: int
    dialog: Dialog
    origin: str
    label: str = ""


def locked(ids: Sequence[int]) -> Mapping[int, Conversation]:
    """Those conversations, held until the transaction ends, in the order in which bulk decisions hold them."""
    return {row.pk: row for row in Conversation.objects.select_for_update().filter(pk__in=ids).order_by("-pk")}


def add_proposals(proposed: Sequence[Proposed]) -> list[Version]:
    """A version for each, numbered on from the last, that does not count yet. Their conversations must be `locked`."""
    ids = [one.conversation for one in proposed]
    rows = Version.objects.filter(conversation__in=ids).values("conversation").annotate(last=Max("number"))
    last = dict(rows.order_by().values_list("conversation", "last"))
    return Version.objects.bulk_create(
        Version(
            conversation_id=one.conversation,
            number=last[one.conversation] + 1,
            origin=one.origin,
            label=one.label,
            parent_id=one.parent,
            **version_columns(one.dialog),
        )
        for one in proposed
    )


def put_in_place(
    conversation: Conversation,
    version: Version,
    *,
    status: str = Status.GENERATED,
    score: float | None,
    offline: bool = False,
) -> None:
    """Make `version` the one that counts. `conversation` must be `locked`; it waits for review unless told otherwise."""
    dialog = version.spoken
    conversation.head, conversation.status, conversation.score = version, status, score
    conversation.opening, conversation.turns = opening_of(dialog), dialog.turns
    conversation.offline = conversation.offline or offline
    conversation.save(update_fields=["head", "status", "score", "opening", "turns", "offline", "updated"])
