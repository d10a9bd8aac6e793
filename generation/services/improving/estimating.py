"""What an improvement will take, reckoned from the conversations that it is for; without embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from datasets.models import Project, Version
from generation.engine.mending import Mending
from generation.engine.mending_estimate import Load, expected
from generation.services.improving.casting import cast_batches
from generation.services.improving.desk import latest_verdict
from generation.services.improving.improvements import Chosen, Selection, selected

SAMPLE = 40
"""So many conversations are looked into; the others are reckoned to be like them."""


@dataclass(frozen=True, slots=True)
class Reckoned:
    conversations: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal
    offline: bool
    up_to: int
    """Id of the newest conversation that was counted."""


def estimate_improvement(*, project: Project, selection: Selection, wanted: Mending) -> Reckoned:
    """Raises Refused for what `start_improvement` would refuse."""
    chosen = selected(project, selection)
    casts = cast_batches(project=project, wanted=wanted, batches={batch for _, _, batch, _ in chosen})
    total, cost = Load(), Decimal(0)
    sample = _spread(chosen)
    versions = _versions([head for _, head, _, _ in sample])
    for _, head, batch, _ in sample:
        version = versions[head]
        known = latest_verdict(list(version.judgements.all()))
        for role, load in expected(version.dialog, wanted, known).items():
            total = total.plus(load)
            cost += casts.of(batch).models[role].cost(round(load.prompt), round(load.completion))
    times = len(chosen) / len(sample)
    return Reckoned(
        conversations=len(chosen),
        calls=round(times * total.calls),
        prompt_tokens=round(times * total.prompt),
        completion_tokens=round(times * total.completion),
        cost=(Decimal(times) * cost).quantize(Decimal("0.000001")),
        offline=any(cast.offline for cast in casts.casts),
        up_to=max(pk for pk, *_ in chosen),
    )


def _spread(chosen: Sequence[Chosen]) -> Sequence[Chosen]:
    """Evenly through all that are meant."""
    return [chosen[number * len(chosen) // SAMPLE] for number in range(SAMPLE)] if len(chosen) > SAMPLE else chosen


def _versions(pks: Sequence[int]) -> dict[int, Version]:
    return Version.objects.prefetch_related("judgements").in_bulk(pks)
