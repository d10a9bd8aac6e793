"""What a row may say of itself beside what a trainer reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasets.schema import Dialog, Source


def metadata(dialog: Dialog, facts: Mapping[str, Any]) -> dict[str, Any]:
    """`facts` of the conversation, the models that wrote it, and the passages before each answer.

    `message` counts the conversation's own messages from 0, without the system prompt.
    """
    written = [(step.message, step) for step in dialog.trace.steps if step.message is not None]
    sources = [{"message": message, **_said(source)} for message, step in written for source in step.sources]
    models = sorted({step.model for _, step in written if step.model})
    came_with = {"imported": dialog.extra} if dialog.extra else {}
    return {**facts, "models": models, "sources": sources, **came_with}


def _said(source: Source) -> dict[str, Any]:
    """Of most sources the retriever said nothing besides."""
    said = source.model_dump(mode="json", exclude={"passage", "metadata"})
    return said | ({"metadata": source.metadata} if source.metadata else {})
