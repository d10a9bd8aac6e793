"""Conversations: found by a filter, read with their trace, decided on, labelled and noted."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema

from datasets.access import project_for
from datasets.asking import asked_conversation
from datasets.filters import ConversationFilter
from datasets.models import Conversation, Label, Note, Origin, Role, Status, Version
from datasets.schema import Message, Score, ToolSpec, Trace
from datasets.services.curating import conversations as services
from datasets.services.curating.conversations import add_label, add_note, delete_note, remove_label
from datasets.services.curating.reviews import record_review

from .shapes import PROJECT, ApiRequest, Body, Id, Named, Page, Place, Storable, page_of

router = Router(tags=["Conversations"])

CONVERSATIONS = PROJECT + "/conversations"
CONVERSATION = CONVERSATIONS + "/{int:conversation}"


class ConversationOut(Schema):
    id: int
    status: Status
    opening: str = Field(description="The first question, cut for lists.")
    turns: int
    score: float | None = Field(description="The judge's overall score, 0 to 1.")
    offline: bool = Field(description="Whether the offline model wrote any of it.")
    batch: Named = Field(description="The run or import that it came with.")
    persona: Named | None
    labels: list[Named]
    version: int = Field(alias="head_id", description="Id of the version that counts: name it when you decide.")
    created: datetime
    updated: datetime


class JudgementOut(Schema):
    evaluator: str
    model: str
    overall: float | None
    scores: list[Score] = Field(description="`value` is null where a criterion does not apply.")
    grade: str = Field(description="What the overall score means by the thresholds of its run.")
    feedback: str
    first_bad: int | None = Field(description="Index of the first message that has to be mended, if one was named.")
    error: str = Field(description="Why there is no score, when the judge failed.")


class NoteOut(Schema):
    id: int
    author: str | None
    text: str
    created: datetime

    @staticmethod
    def resolve_author(row: Note) -> str | None:
        return row.author.username if row.author else None


class ReviewOut(Schema):
    reviewer: str | None
    decision: Status
    created: datetime

    @staticmethod
    def resolve_reviewer(row: Any) -> str | None:
        return row.reviewer.username if row.reviewer else None


class ConversationDetail(ConversationOut):
    """With what was said, and every call that led to it: a step's texts are indexes into `trace.texts`."""

    number: int = Field(alias="head.number", description="The version's number, from 1.")
    origin: Origin = Field(alias="head.origin")
    system_prompt: str = Field(alias="head.system_prompt")
    messages: list[Message] = Field(alias="head.messages")
    tools: list[ToolSpec] = Field(alias="head.tools", description="What the assistant could call.")
    output: Any = Field(None, alias="head.output", description="The row, for a run of rows.")
    trace: Trace = Field(alias="head.trace")
    judgements: list[JudgementOut] = Field(alias="head.judgements")
    notes: list[NoteOut]
    reviews: list[ReviewOut] = Field(description="Decisions that stand, newest first.")

    @staticmethod
    def resolve_notes(row: Conversation) -> list[Note]:
        return list(row.notes.select_related("author"))

    @staticmethod
    def resolve_reviews(row: Conversation) -> list[Any]:
        return list(row.reviews.standing().select_related("reviewer"))


class VersionOut(Schema):
    id: int
    number: int = Field(description="From 1.")
    origin: Origin
    label: str = Field(description="How it differs from its siblings; mostly empty.")
    parent: int | None = Field(alias="parent_id", description="Id of the version that it was made from.")
    author: str | None = Field(description="Null where a model made it.")
    counts: bool = Field(description="Whether it is the one that counts.")
    system_prompt: str
    messages: list[Message]
    output: Any = Field(None, description="The row, for a run of rows.")
    judgements: list[JudgementOut]
    created: datetime

    @staticmethod
    def resolve_author(row: Version) -> str | None:
        return row.author.username if row.author else None

    @staticmethod
    def resolve_counts(row: Version) -> bool:
        return row.conversation.head_id == row.pk


class ReviewIn(Body):
    decision: Status = Field(description="`generated` sets it back to review.")
    version: Id = Field(description="The version that you read: if another one counts by now, the answer is a 409.")


class LabelIn(Body):
    name: Annotated[str, Storable] = Field(examples=["good follow-up"])


class NoteIn(Body):
    text: Annotated[str, Storable]


@router.get(CONVERSATIONS, response=Page[ConversationOut])
def list_conversations(
    request: ApiRequest, project: str, filter: Query[ConversationFilter], place: Query[Place]
) -> dict[str, Any]:
    """What the filter matches, newest first. Without a filter: everything."""
    rows = project_for(request.auth, project).conversations.for_list()
    return page_of(filter.apply(rows), place, newest_first=True)


@router.get(CONVERSATION, response=ConversationDetail)
def get_conversation(request: ApiRequest, project: str, conversation: int) -> Conversation:
    """One conversation: its messages, sources and calls, and what judges and people said of it."""
    return asked_conversation(project_for(request.auth, project), conversation)


@router.get(CONVERSATION + "/versions", response=Page[VersionOut])
def list_versions(request: ApiRequest, project: str, conversation: int, place: Query[Place]) -> dict[str, Any]:
    """Every state of a conversation, oldest first, without the calls that led to it."""
    row = asked_conversation(project_for(request.auth, project), conversation)
    rows = row.versions.select_related("author", "conversation").prefetch_related("judgements").defer("trace", "search")
    return page_of(rows, place)


@router.post(CONVERSATION + "/review", response=ConversationDetail)
def review_conversation(request: ApiRequest, project: str, conversation: int, body: ReviewIn) -> Conversation:
    """Approve, reject or flag it, or set it back to review. Needs the role of annotator."""
    row = project_for(request.auth, project, Role.ANNOTATOR)
    record_review(
        conversation=asked_conversation(row, conversation),
        reviewer=request.auth,
        decision=body.decision,
        version=body.version,
    )
    return asked_conversation(row, conversation)


@router.post(CONVERSATION + "/labels", response=list[Named])
def label_conversation(request: ApiRequest, project: str, conversation: int, body: LabelIn) -> list[Label]:
    """Put a label on it, made if the project has none of that name. Needs the role of annotator."""
    row = asked_conversation(project_for(request.auth, project, Role.ANNOTATOR), conversation)
    add_label(conversation=row, name=body.name, author=request.auth)
    return list(row.labels.all())


@router.delete(CONVERSATION + "/labels/{int:label}", response={204: None})
def unlabel_conversation(request: ApiRequest, project: str, conversation: int, label: int) -> None:
    """Take a label off. Needs the role of annotator."""
    row = asked_conversation(project_for(request.auth, project, Role.ANNOTATOR), conversation)
    remove_label(conversation=row, label_id=label)


@router.post(CONVERSATION + "/notes", response={201: NoteOut})
def note_conversation(request: ApiRequest, project: str, conversation: int, body: NoteIn) -> Note:
    """Leave a note for the others. Needs the role of annotator."""
    row = asked_conversation(project_for(request.auth, project, Role.ANNOTATOR), conversation)
    return add_note(conversation=row, text=body.text, author=request.auth)


@router.delete(CONVERSATION + "/notes/{int:note}", response={204: None})
def delete_note_of_mine(request: ApiRequest, project: str, conversation: int, note: int) -> None:
    """A note that you have left. Needs the role of annotator."""
    row = asked_conversation(project_for(request.auth, project, Role.ANNOTATOR), conversation)
    delete_note(note=get_object_or_404(row.notes, pk=note, author=request.auth), actor=request.auth)


@router.get(PROJECT + "/labels", response=Page[Named])
def list_labels(request: ApiRequest, project: str, place: Query[Place]) -> dict[str, Any]:
    """The labels of a project: their ids are what the filter takes."""
    return page_of(project_for(request.auth, project).labels.all(), place)


@router.patch(PROJECT + "/labels/{int:label}", response=Named)
def rename_label(request: ApiRequest, project: str, label: int, body: LabelIn) -> Label:
    """Needs the role of curator."""
    row = get_object_or_404(project_for(request.auth, project, Role.CURATOR).labels, pk=label)
    services.rename_label(label=row, name=body.name, actor=request.auth)
    return row


@router.delete(PROJECT + "/labels/{int:label}", response={204: None})
def delete_label(request: ApiRequest, project: str, label: int) -> None:
    """Takes it off every conversation that has it. Needs the role of curator."""
    row = get_object_or_404(project_for(request.auth, project, Role.CURATOR).labels, pk=label)
    services.delete_label(label=row, actor=request.auth)
