"""From a recipe's judging to the panel that judges."""

from __future__ import annotations

from generation import extensions
from generation.engine.errors import FatalError
from generation.engine.evaluators import Criterion, assemble
from generation.engine.protocols import Embedder, Evaluator, Speaker
from generation.engine.providers.cached_embedder import CachedEmbedder, VectorCache
from generation.engine.recipe import Recipe
from generation.frozen import Frozen

from .speaking import Switchboard


def panel_of(spec: Recipe, frozen: Frozen, speaker: Speaker | None, switchboard: Switchboard) -> Evaluator | None:
    """None where the recipe does not judge. Raises FatalError when a part of the panel cannot be had."""
    if spec.judge is None:
        return None
    try:
        return assemble(
            spec.judge,
            speaker=speaker,
            own=[Criterion(one.name, one.description, one.weight, one.needs_passages) for one in frozen.criteria],
            embedder=_embedder(frozen, switchboard),
            embedding_model=frozen.embedding.model if frozen.embedding else "",
            others=[extensions.build("evaluators", one.name, **one.options) for one in spec.judge.others],
        )
    except ValueError as error:
        raise FatalError(str(error)) from error


def _embedder(frozen: Frozen, switchboard: Switchboard) -> Embedder | None:
    if frozen.embedding is None:
        return None
    model = frozen.embedding.model
    return CachedEmbedder(switchboard.embedder(frozen.embedding.endpoint, model), model, VectorCache())
