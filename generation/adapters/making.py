"""From a recipe to the engine's live components."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from asgiref.sync import sync_to_async

from generation import extensions
from generation.engine import prompts
from generation.engine.dialog import DialogMaker, Improvement
from generation.engine.hooks import HooksInTurn
from generation.engine.instructions import Contextual, Simple
from generation.engine.openings import Anything
from generation.engine.protocols import (
    Evaluator,
    InstructionGenerator,
    Maker,
    ModelRole,
    Openings,
    PromptModifier,
    Speaker,
    TurnHooks,
)
from generation.engine.providers import ClientPool
from generation.engine.recipe import Pairs, Recipe
from generation.frozen import SECOND, Frozen
from generation.models import Endpoint

from .judging import panel_of
from .metering import Meter
from .modifying import open_modifier
from .products import maker_of, respondent_of, simulator_of
from .speaking import Switchboard


@dataclass(frozen=True, slots=True)
class Press:
    """What makes the conversations of one recipe, ready to run."""

    maker: Maker
    switchboard: Switchboard


@asynccontextmanager
async def open_press(
    spec: Recipe, frozen: Frozen, openings: Openings | None = None, meter: Meter | None = None
) -> AsyncIterator[Press]:
    """Live components for as long as the block lasts. `openings` keeps first questions apart, where that is wanted;
    `meter` is told what is asked of embedding models.

    Raises Undecryptable when a key cannot be read, FatalError when a part of the recipe cannot be had.
    """
    endpoints = await sync_to_async(_endpoints)(frozen)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(ClientPool())
        switchboard = Switchboard(endpoints, pool, spec.concurrency, meter)
        modifier = await open_modifier(spec, switchboard, stack)
        speakers = _speakers(spec, frozen, switchboard)
        evaluator = panel_of(spec, frozen, speakers.get("judge"), switchboard)
        dialogs = _dialogs(spec, frozen, speakers, modifier, evaluator, openings or Anything())
        second = _second(spec, frozen, switchboard)
        yield Press(maker_of(spec, dialogs, speakers["respondent"], second), switchboard)


def _endpoints(frozen: Frozen) -> list[Endpoint]:
    return list(Endpoint.objects.filter(pk__in=frozen.endpoints).prefetch_related("keys"))


def _speakers(spec: Recipe, frozen: Frozen, switchboard: Switchboard) -> dict[ModelRole, Speaker]:
    return {
        role: switchboard.speaker(choice.model_copy(update={"model": frozen.models[role].model}), name=role)
        for role, choice in spec.models.items()
    }


def _second(spec: Recipe, frozen: Frozen, switchboard: Switchboard) -> Speaker | None:
    if not isinstance(spec.product, Pairs) or spec.product.second is None or frozen.second is None:
        return None
    return switchboard.speaker(spec.product.second.model_copy(update={"model": frozen.second.model}), name=SECOND)


def _dialogs(
    spec: Recipe,
    frozen: Frozen,
    speakers: dict[ModelRole, Speaker],
    modifier: PromptModifier,
    evaluator: Evaluator | None,
    openings: Openings,
) -> DialogMaker:
    correspondent = frozen.correspondent.text if frozen.correspondent else prompts.DEFAULT_CORRESPONDENT
    return DialogMaker(
        instructions=_instructions(spec, frozen, speakers["instruction"], correspondent),
        simulator=simulator_of(spec, speakers, correspondent),
        respondent=respondent_of(spec, speakers),
        prompt=frozen.respondent.text,
        modifier=modifier,
        every_answer=spec.retrieval.when == "answer",
        evaluator=evaluator,
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


def _hooks(spec: Recipe) -> TurnHooks | None:
    hooks: Sequence[TurnHooks] = [extensions.build("hooks", hook.name, **hook.options) for hook in spec.hooks]
    return HooksInTurn(tuple(hooks)) if hooks else None
