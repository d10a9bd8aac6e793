"""Which of a document's personas asks next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random


@dataclass(frozen=True, slots=True)
class Grown:
    """A persona that was written from a document: its id, and the layer that it stands in (0 is nearest to the text)."""

    persona: int
    depth: int = 0


def layer_weights(pool: Sequence[Grown]) -> list[float]:
    """The weight of each persona of a pool that is too small for its target.

    Layers weigh D+1, D, …, 1 in all, for depths 0 to D, shared evenly by the personas of a layer.
    """
    sizes = Counter(grown.depth for grown in pool)
    deepest = max(sizes, default=0)
    return [(deepest - grown.depth + 1) / sizes[grown.depth] for grown in pool]


class PersonaHand:
    """The personas of one document, drawn one after another.

    A target of up to all of them cycles through the first `target`, those nearest to the text first. A higher target
    draws by chance, the nearer layers more often. No target cycles through all. `pool` is never changed.
    """

    def __init__(self, pool: Sequence[Grown], target: int | None, chance: Random) -> None:
        """Raises ValueError when the pool is empty."""
        if not pool:
            raise ValueError("A hand needs at least one persona.")
        ordered = sorted(pool, key=lambda grown: grown.depth)
        self._by_chance = target is not None and target > len(ordered)
        self._pool = ordered if target is None or self._by_chance else ordered[: max(1, target)]
        self._shares = list(accumulate(layer_weights(self._pool))) if self._by_chance else []
        self._chance = chance
        self._drawn = 0

    def draw(self) -> Grown:
        if self._by_chance:
            return self._chance.choices(self._pool, cum_weights=self._shares)[0]
        grown = self._pool[self._drawn % len(self._pool)]
        self._drawn += 1
        return grown
