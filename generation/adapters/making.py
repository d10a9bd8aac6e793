"""From a recipe to the engine's live components."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from asgiref.sync import sync_to_async
from django.conf import settings

from datasets.index import PassageIndex, connect
from datasets.models import Corpus
from generation.engine import prompts
from generation.engine.dialog import DialogMaker
from generation.engine.evaluators import ModelJudge
from generation.engine.instructions import Contextual, Simple
from generation.engine.modifiers import Plain, WithContext, WithRetrieval
from generation.engine.protocols import Embedder, InstructionGenerator, PromptModifier
from generation.engine.providers import ClientPool, OpenAIEmbedder
from generation.engine.recipe import Recipe
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

    maker: DialogMaker
    switchboard: Switchboard


@asynccontextmanager
async def open_press(spec: Recipe, frozen: Frozen) -> AsyncIterator[Press]:
    """Live components for as long as the block lasts. Raises Undecryptable when a key cannot be read."""
    endpoints = await sync_to_async(_endpoints)(frozen)
    embedding = await sync_to_async(embedding_of)(spec.corpus)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(ClientPool())
        switchboard = Switchboard(endpoints, pool, spec.concurrency)
        embedder = OpenAIEmbedder(pool, *embedding) if embedding else None
        modifier = await _modifier(spec, embedder, stack)
        yield Press(_maker(spec, frozen, switchboard, modifier), switchboard)


def _endpoints(frozen: Frozen) -> list[Endpoint]:
    wanted = {model.endpoint for model in frozen.models.values()}
    return list(Endpoint.objects.filter(pk__in=wanted).prefetch_related("keys"))


async def _modifier(spec: Recipe, embedder: Embedder | None, stack: AsyncExitStack) -> PromptModifier:
    if spec.corpus is None:
        return Plain()
    if spec.retrieval.when == "never":
        return WithContext() if spec.retrieval.with_context else Plain()
    client = connect(settings.QDRANT_URL, settings.QDRANT_API_KEY)
    stack.push_async_callback(client.close)
    index = PassageIndex(client, Corpus(pk=spec.corpus).collection)
    retriever = Patient(CorpusRetriever(index, spec.retrieval.depth, embedder))
    return WithRetrieval(retriever, with_context=spec.retrieval.with_context)


def _maker(spec: Recipe, frozen: Frozen, switchboard: Switchboard, modifier: PromptModifier) -> DialogMaker:
    speakers = {
        role: switchboard.speaker(choice.model_copy(update={"model": frozen.models[role].model}))
        for role, choice in spec.models.items()
    }
    correspondent = frozen.correspondent.text if frozen.correspondent else prompts.DEFAULT_CORRESPONDENT
    template = frozen.instruction.text if frozen.instruction else prompts.DEFAULT_INSTRUCTION
    kind = Simple if spec.corpus is None else Contextual
    instructions: InstructionGenerator = kind(speakers["instruction"], template, correspondent)
    return DialogMaker(
        instructions=instructions,
        simulator=Correspondent(speakers["correspondent"], correspondent),
        respondent=speakers["respondent"],
        prompt=frozen.respondent.text,
        modifier=modifier,
        every_answer=spec.retrieval.when == "answer",
        evaluators=(ModelJudge(speakers["judge"]),) if spec.judge else (),
    )
