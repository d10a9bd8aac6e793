"""Several retrievers asked at once, their rankings fused into one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from datasets.schema import Source
from generation.engine.protocols import Retriever

from .found import ask, identity, without_repeats

log = logging.getLogger(__name__)
SMOOTHING = 60
"""The usual constant of reciprocal rank fusion: by it, first place is worth 1/61 and second 1/62."""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Weighted reciprocal rank fusion: a passage scores the sum, over the members that found it, of weight / (60 + rank).

    `members` are retrievers with their weights. One that fails costs only itself; when all fail, the first error is
    raised. A weight of 0 leaves a member unasked.
    """

    members: tuple[tuple[Retriever, float], ...]
    most: int = 3

    def __post_init__(self) -> None:
        weights = [weight for _, weight in self.members]
        if any(weight < 0 for weight in weights) or not sum(weights) > 0:
            raise ValueError("The weights of an ensemble are 0 or more, and one of them is more.")

    async def retrieve(self, query: str) -> tuple[Source, ...]:
        members = [(retriever, weight) for retriever, weight in self.members if weight]
        asked = (ask(retriever, query) for retriever, _ in members)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        rankings = [
            (found, weight) for found, (_, weight) in zip(answers, members, strict=True) if isinstance(found, tuple)
        ]
        errors = [error for error in answers if isinstance(error, BaseException)]
        if not rankings:
            raise errors[0]
        for error in errors:
            log.warning("A retriever of an ensemble failed, the others go on: %s", error)
        return fused(rankings)[: self.most]


def fused(rankings: Sequence[tuple[Sequence[Source], float]]) -> tuple[Source, ...]:
    """Every source once, best first, with its fused score; of equal ones the first that was found leads."""
    scores: dict[int | str, float] = {}
    sources: dict[int | str, Source] = {}
    for ranking, weight in rankings:
        for rank, source in enumerate(without_repeats(ranking), 1):
            key = identity(source)
            scores[key] = scores.get(key, 0.0) + weight / (SMOOTHING + rank)
            sources.setdefault(key, source)
    best = sorted(scores, key=lambda key: scores[key], reverse=True)
    return tuple(sources[key].model_copy(update={"score": round(scores[key], 6)}) for key in best)
