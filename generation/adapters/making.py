"""From a recipe to the engine's live components."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from asgiref.sync import sync_to_async
from django.conf import settings

from datasets.index import PassageIndex, connect
from datasets.models import Corpus
from generation import extensions
from generation.engine import prompts
from generation.engine.dialog import DialogMaker, Improvement
from generation.engine.evaluators import ModelJudge
from generation.engine.hooks import HooksInTurn
from generation.engine.instructions import Contextual, Simple
from generation.engine.modifiers import Plain, WithContext, WithRetrieval
from generation.engine.openings import Anything
from generation.engine.protocols import (
    Embedder,
    Evaluator,
    InstructionGenerator,
    Maker,
    ModelRole,
    Openings,
    PromptModifier,
    Speaker,
    TurnHooks,
)
from generation.engine.providers import ClientPool, OpenAIEmbedder
from generation.engine.recipe import Recipe
from generation.engine.respondents import Speaking
from generation.engine.retrievers import Patient
from generation.engine.simulators import Correspondent
from generation.frozen import Frozen
from generation.models import Endpoint

from .embedding import embedding_of
from .retrieving import CorpusRetriever
from .speaking import Switchboard


@dataclass(frozen=True, slots=True)
class Press:
    """What makes the conversations of one recipe, ready to run."""

    maker: Maker
    switchboard: Switchboard


@asynccontextmanager
async def open_press(spec: Recipe, frozen: Frozen, openings: Openings | None = None) -> AsyncIterator[Press]:
    """Live components for as long as the block lasts. `openings` keeps first questions apart, where that is wanted.

    Raises Undecryptable when a key cannot be read, FatalError when a part of the recipe cannot be had.
    """
    endpoints = await sync_to_async(_endpoints)(frozen)
    embedding = await sync_to_async(embedding_of)(spec.corpus)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(ClientPool())
        switchboard = Switchboard(endpoints, pool, spec.concurrency)
        embedder = OpenAIEmbedder(pool, *embedding) if embedding else None
        modifier = await _modifier(spec, embedder, stack)
        yield Press(_maker(spec, frozen, switchboard, modifier, openings or Anything()), switchboard)


def _endpoints(frozen: Frozen) -> list[Endpoint]:
    wanted = {model.endpoint for model in frozen.models.values()}
    if frozen.second:
        wanted.add(frozen.second.endpoint)
    return list(Endpoint.objects.filter(pk__in=wanted).prefetch_related("keys"))


async def _modifier(spec: Recipe, embedder: Embedder | None, stack: AsyncExitStack) -> PromptModifier:
    retrieval = spec.retrieval
    if retrieval.when == "never":
        grounded = spec.corpus is not None and retrieval.with_context
        return WithContext(retrieval.template) if grounded else Plain()
    client = connect(settings.QDRANT_URL, settings.QDRANT_API_KEY)
    stack.push_async_callback(client.close)
    index = PassageIndex(client, Corpus(pk=spec.corpus).collection)
    retriever = Patient(CorpusRetriever(index, retrieval.depth, embedder))
    return WithRetrieval(retriever, with_context=retrieval.with_context, template=retrieval.template)


def _maker(
    spec: Recipe, frozen: Frozen, switchboard: Switchboard, modifier: PromptModifier, openings: Openings
) -> Maker:
    speakers: dict[ModelRole, Speaker] = {
        role: switchboard.speaker(choice.model_copy(update={"model": frozen.models[role].model}))
        for role, choice in spec.models.items()
    }
    correspondent = frozen.correspondent.text if frozen.correspondent else prompts.DEFAULT_CORRESPONDENT
    return DialogMaker(
        instructions=_instructions(spec, frozen, speakers["instruction"], correspondent),
        simulator=Correspondent(speakers["correspondent"], correspondent),
        respondent=Speaking(speakers["respondent"]),
        prompt=frozen.respondent.text,
        modifier=modifier,
        every_answer=spec.retrieval.when == "answer",
        evaluator=_evaluator(spec, speakers),
        improvement=Improvement(spec.improve.attempts, spec.improve.below) if spec.improve else None,
        openings=openings if spec.questions.distinct else Anything(),
        hooks=_hooks(spec),
    )


def _instructions(spec: Recipe, frozen: Frozen, speaker: Speaker, correspondent: str) -> InstructionGenerator:
    if writer := spec.questions.writer:
        return extensions.build("instructions", writer.name, speaker=speaker, **writer.options)
    template = frozen.instruction.text if frozen.instruction else prompts.DEFAULT_INSTRUCTION
    kind = Simple if spec.corpus is None else Contextual
    return kind(speaker, template, correspondent)


def _evaluator(spec: Recipe, speakers: dict[ModelRole, Speaker]) -> Evaluator | None:
    return ModelJudge(speakers["judge"]) if spec.judge else None


def _hooks(spec: Recipe) -> TurnHooks | None:
    hooks: Sequence[TurnHooks] = [extensions.build("hooks", hook.name, **hook.options) for hook in spec.hooks]
    return HooksInTurn(tuple(hooks)) if hooks else None
