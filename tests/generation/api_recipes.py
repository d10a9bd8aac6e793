"""Recipes for tests of the API, as a program would write them."""

from __future__ import annotations

from typing import Any

from datasets.models import Document, Passage, Project, PromptRole, SourceFile
from datasets.services.prompts import save_prompt
from tests.factories import make_corpus


def passages_of(project: Project, count: int) -> int:
    """The id of a corpus whose one document has that many passages, which are in no index."""
    corpus = make_corpus(project)
    source = SourceFile.objects.create(corpus=corpus, name="a.txt", size=1, sha256="0", state=SourceFile.State.READY)
    document = Document.objects.create(
        corpus=corpus, source=source, title="A", text="word " * count, characters=5 * count, revision=1
    )
    for index in range(count):
        place = {"start": 5 * index, "end": 5 * index + 4}
        Passage.objects.create(corpus=corpus, document=document, index=index, text="word", **place)
    return corpus.pk


def recipe_for(project: Project, *, corpus: int | None) -> dict[str, Any]:
    """Four conversations of at most three turns by the project's offline model."""
    prompt = save_prompt(project=project, name="Expert", role=PromptRole.RESPONDENT, text="Be right.", author=None)
    choice = {"endpoint": project.endpoints.get(preset="offline").pk}
    return {
        "corpus": corpus,
        "respondent_prompt": prompt.pk,
        "models": dict.fromkeys(("instruction", "correspondent", "respondent"), choice),
        "retrieval": {"when": "answer" if corpus else "never"},
        "conversations": 4,
        "max_turns": 3,
        "concurrency": 4,
    }
