"""The passages that answer the user's message are looked up and given to the respondent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datasets.schema import Source
from generation.engine import prompts
from generation.engine.protocols import Brief, ModifiedPrompt, Retriever
from generation.engine.retrievers import ask, identity


@dataclass(frozen=True, slots=True)
class WithRetrieval:
    """With `with_context`, the brief's own passages come first. When both are empty the respondent is told so."""

    retriever: Retriever
    with_context: bool = True
    template: str = ""
    """How prompt and passages are put together, by `{prompt}` and `{context}`; empty is the usual way."""

    async def modify(self, prompt: str, brief: Brief, query: str) -> ModifiedPrompt:
        hits = await ask(self.retriever, query)
        sources = merge(brief.contexts if self.with_context else (), hits)
        if not sources:
            return ModifiedPrompt(prompts.nothing_found(prompt))
        return ModifiedPrompt(prompts.grounded(prompt, sources, self.template), sources)


def merge(*groups: Sequence[Source]) -> tuple[Source, ...]:
    """Every passage once, where it first stood; its score is the last one that is known."""
    merged: dict[int | str, Source] = {}
    for source in (source for group in groups for source in group):
        key = identity(source)
        if key not in merged or source.score is not None:
            merged[key] = source
    return tuple(merged.values())
