"""Conversations and their versions, labels and notes."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.search import SearchVector
from django.db import connection, transaction
from django.db.models import Max, Value

from datasets.models import Batch, Conversation, Label, Labelling, Note, Persona, Project, Status, User, Version
from datasets.schema import Dialog
from datasets.services.activity import record_activity
from datasets.services.errors import Refused
from datasets.text import clean, clean_json

SEARCHED_CHARACTERS = 200_000
"""How much of a conversation is searched: a text vector of PostgreSQL holds less than one megabyte."""


# -- versions -----------------------------------------------------------------------------------------------------------


def opening_of(dialog: Dialog) -> str:
    """The first question, on one line, cut for lists."""
    first = next((message.content for message in dialog.messages if message.role == "user"), "")
    line = " ".join(clean(first).split())
    return line if len(line) <= 300 else line[:299] + "…"


def search_vector(dialog: Dialog) -> SearchVector:
    """The expression that searches look into, for inserting: the words of every message, in no language ('simple')."""
    said = "\n".join(message.content for message in dialog.messages if message.role != "system")
    return SearchVector(Value(clean(said)[:SEARCHED_CHARACTERS]), config="simple")


def version_columns(dialog: Dialog) -> dict[str, Any]:
    """What a Version row holds of a dialog. The row machine inserts many at once with it: `Version(…, **columns)`."""
    return {
        "system_prompt": clean(dialog.system_prompt),
        "persona": clean(dialog.persona),
        "messages": [clean_json(message.model_dump(mode="json", exclude_defaults=True)) for message in dialog.messages],
        "trace": clean_json(dialog.trace.model_dump(mode="json", exclude_defaults=True)),
        "tools": [clean_json(tool.model_dump(mode="json")) for tool in dialog.tools],
        "output": clean_json(dialog.output),
        "extra": clean_json(dialog.extra),
        "search": search_vector(dialog),
    }


def take_ids(model: type[Conversation | Version], count: int) -> list[int]:
    """Primary keys taken ahead, so that rows that point to each other can be inserted at once."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
            [model._meta.db_table, count],
        )
        return [pk for (pk,) in cursor.fetchall()]


@transaction.atomic
def add_conversation(
    *,
    batch: Batch,
    dialog: Dialog,
    origin: str,
    author: User | None = None,
    persona: Persona | None = None,
    score: float | None = None,
    offline: bool = False,
) -> Conversation:
    """A new conversation of `batch` with its first version. `score` is the judge's, from 0 to 1."""
    conversation = Conversation.objects.create(
        project_id=batch.project_id,
        batch=batch,
        persona=persona,
        opening=opening_of(dialog),
        turns=dialog.turns,
        score=score,
        offline=offline,
    )
    conversation.head = Version.objects.create(
        conversation=conversation, origin=origin, author=author, **version_columns(dialog)
    )
    conversation.save(update_fields=["head"])
    return conversation


@transaction.atomic
def add_version(
    *,
    conversation: Conversation,
    dialog: Dialog,
    origin: str,
    author: User | None = None,
    parent: Version | None = None,
    score: float | None = None,
    offline: bool = False,
) -> Version:
    """A further version, which becomes the head: nobody has reviewed it, so the conversation waits for review again.

    `parent` is the version that it was made from, the head if not given. A conversation that the offline model once
    touched stays labelled so.
    """
    row = Conversation.objects.select_for_update().get(pk=conversation.pk)
    last = row.versions.aggregate(last=Max("number"))["last"] or 0
    version = Version.objects.create(
        conversation=row,
        number=last + 1,
        origin=origin,
        author=author,
        parent_id=parent.pk if parent else row.head_id,
        **version_columns(dialog),
    )
    row.head, row.status, row.score = version, Status.GENERATED, score
    row.opening, row.turns, row.offline = opening_of(dialog), dialog.turns, row.offline or offline
    row.save(update_fields=["head", "status", "score", "opening", "turns", "offline", "updated"])
    return version


# -- labels -------------------------------------------------------------------------------------------------------------


def label_named(*, project: Project, name: str) -> Label:
    """The project's label of that name, whatever its capitals, made if there is none."""
    name = label_name(name)
    found = project.labels.filter(name__iexact=name).first()
    return found or Label.objects.get_or_create(project=project, name=name)[0]


def label_name(name: str) -> str:
    name = " ".join(clean(name).split())
    if not name:
        raise Refused("Write a word or two for the label.", field="name")
    if len(name) > 40:
        raise Refused("A label has at most 40 characters: shorten it.", field="name")
    return name


@transaction.atomic
def add_label(*, conversation: Conversation, name: str, author: User) -> Label:
    """Twice is the same as once."""
    label = label_named(project=conversation.project, name=name)
    Labelling.objects.get_or_create(conversation=conversation, label=label, defaults={"author": author})
    return label


def remove_label(*, conversation: Conversation, label_id: int) -> None:
    conversation.labellings.filter(label_id=label_id).delete()


@transaction.atomic
def rename_label(*, label: Label, name: str, actor: User) -> None:
    old, label.name = label.name, label_name(name)
    taken = Label.objects.filter(project_id=label.project_id, name__iexact=label.name).exclude(pk=label.pk)
    if taken.exists():
        raise Refused(f"There is already a label “{label.name}”: choose another name.", field="name")
    label.save(update_fields=["name"])
    text = f"renamed the label “{old}” to “{label.name}”"
    record_activity(project=label.project, actor=actor, text=text, path="conversations/labels/")


@transaction.atomic
def delete_label(*, label: Label, actor: User) -> None:
    """Takes it off every conversation that has it."""
    text = f"deleted the label “{label.name}”"
    record_activity(project=label.project, actor=actor, text=text, path="conversations/labels/")
    label.delete()


# -- notes --------------------------------------------------------------------------------------------------------------


def add_note(*, conversation: Conversation, text: str, author: User) -> Note:
    text = clean(text).strip()
    if not text:
        raise Refused("The note is empty: write what the others should know.", field="text")
    if len(text) > 5_000:
        raise Refused("A note has at most 5 000 characters: shorten it.", field="text")
    return Note.objects.create(conversation=conversation, text=text, author=author)


def delete_note(*, note: Note, actor: User) -> None:
    if note.author_id != actor.pk:
        raise Refused("Only who wrote a note may delete it.")
    note.delete()
