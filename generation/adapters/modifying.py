"""From a recipe's retrieval to what the respondent is given: retrievers over corpora and texts, and the modifier."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

from datasets.schema import Source
from generation import extensions
from generation.engine.errors import FatalError
from generation.engine.modifiers import Plain, WithContext, WithRetrieval
from generation.engine.protocols import PromptModifier, Retriever
from generation.engine.recipe import (
    AnyRetriever,
    CustomRetriever,
    Ensemble,
    FixedText,
    FromCorpus,
    InTurn,
    Recipe,
)
from generation.engine.retrievers import Cached, Chained, Static
from generation.engine.retrievers import Ensemble as AskedTogether

from .retrieving import retriever_for
from .speaking import Switchboard


async def open_modifier(spec: Recipe, switchboard: Switchboard, stack: AsyncExitStack) -> PromptModifier:
    """The recipe's modifier for as long as `stack` lasts. Raises FatalError when a part of it cannot be had."""
    retrieval = spec.retrieval
    if retrieval.when == "never":
        grounded = spec.corpus is not None and retrieval.with_context
        return WithContext(retrieval.template) if grounded else Plain()
    retriever = await _Assembly(spec, switchboard, stack).build(retrieval.retriever)
    if retrieval.cached:
        retriever = Cached(retriever)
    with_context = retrieval.with_context and spec.corpus is not None
    return WithRetrieval(retriever, with_context=with_context, template=retrieval.template)


@dataclass(frozen=True, slots=True)
class _Assembly:
    spec: Recipe
    switchboard: Switchboard
    stack: AsyncExitStack

    async def build(self, part: AnyRetriever) -> Retriever:
        match part:
            case FromCorpus():
                corpus = part.corpus or self.spec.corpus
                if corpus is None:
                    raise FatalError("A retriever of this recipe searches its corpus, and it has none.")
                return await self._corpus(corpus)
            case FixedText():
                return Static((_source(part),))
            case InTurn():
                return Chained(tuple([await self.build(inner) for inner in part.retrievers]), enough=part.enough)
            case Ensemble():
                members = [(await self.build(member.retriever), member.weight) for member in part.members]
                return AskedTogether(tuple(members), most=self.spec.retrieval.depth)
            case CustomRetriever():
                return extensions.build("retrievers", part.name, **part.options)

    async def _corpus(self, corpus: int) -> Retriever:
        depth = self.spec.retrieval.depth
        return await retriever_for(corpus, depth=depth, switchboard=self.switchboard, stack=self.stack)


def _source(fixed: FixedText) -> Source:
    return Source(passage=0, document=0, title=fixed.title, text=fixed.text, start=0, end=len(fixed.text))
