"""Rows for tests, with what a test does not care about filled in."""

from __future__ import annotations

from itertools import count
from typing import Any

from datasets.models import Batch, Conversation, Corpus, Membership, Origin, Project, Role, User
from datasets.schema import Dialog, Message, Source, Step, Trace
from datasets.services.curating.conversations import add_conversation

numbers = count(1)


def make_user(name: str = "", **fields: Any) -> User:
    """Without a password unless one is given: hashing it takes half a second."""
    return User.objects.create_user(username=name or f"user{next(numbers)}", **fields)


def make_project(owner: User | None = None, **fields: Any) -> Project:
    number = next(numbers)
    project = Project.objects.create(**{"name": f"Project {number}", "slug": f"project-{number}", **fields})
    if owner is not None:
        add_member(project, owner, Role.OWNER)
    return project


def add_member(project: Project, user: User, role: str) -> Membership:
    return Membership.objects.create(project=project, user=user, role=role)


def make_corpus(project: Project | None = None, **fields: Any) -> Corpus:
    return Corpus.objects.create(**{"project": project or make_project(), "name": f"Corpus {next(numbers)}", **fields})


def make_batch(project: Project, **fields: Any) -> Batch:
    return Batch.objects.create(**{"project": project, "kind": "run", "name": f"Run {next(numbers)}", **fields})


def make_dialog(*said: str, **fields: Any) -> Dialog:
    """User and assistant in turn, beginning with the user."""
    said = said or ("How do I reset it?", "Hold the button for **ten** seconds.")
    messages = (Message(role=("user", "assistant")[n % 2], content=text) for n, text in enumerate(said))
    return Dialog(**{"messages": tuple(messages), "system_prompt": "You are a helpful expert.", **fields})


def make_source(**fields: Any) -> Source:
    text = "Hold the reset button for ten seconds."
    span = {"passage": 1, "document": 1, "title": "Manual", "text": text, "start": 0, "end": len(text), "score": 0.8125}
    return Source(**{**span, **fields})


def make_trace(*sources: Source, model: str = "test-model") -> Trace:
    """Two calls: the first question, and the answer to it, which was given the sources."""
    asked = Step(operation="instruction", model=model, request=(("system", 0),), reply=1, message=0, latency_ms=310)
    answered = Step(
        operation="answer", model=model, request=(("system", 2), ("user", 1)), reply=3, message=1, sources=sources,
        prompt_tokens=1204, completion_tokens=212, latency_ms=840, tries=2,
    )  # fmt: skip
    texts = ("Write a question.", "How do I reset it?", "Answer from the passages.", "Hold the button.")
    return Trace(texts=texts, steps=(asked, answered))


def make_conversation(
    project: Project, *said: str, status: str = "", labels: tuple[str, ...] = (), **fields: Any
) -> Conversation:
    """`fields` are those of `add_conversation`."""
    dialog = fields.pop("dialog", None) or make_dialog(*said)
    batch = fields.pop("batch", None) or project.batches.first() or make_batch(project)
    row = add_conversation(batch=batch, dialog=dialog, **{"origin": Origin.GENERATED, **fields})
    if status:
        row.status = status
        row.save(update_fields=["status"])
    for name in labels:
        row.labels.add(project.labels.get_or_create(name=name)[0])
    return row
