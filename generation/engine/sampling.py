"""The plan of a run: what each of its slots is asked to be, drawn from one seed before the first call is made."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """One slot: `contexts` and `persona` are what was dealt to its batch of `passages` and `personas`.

    The first slot of a batch leads: its question is written together with those of the others.
    """

    index: int
    batch: int
    leads: bool
    seed: int
    turns: int
    contexts: tuple[int, ...]
    persona: int | None


def plan(
    n: int,
    *,
    seed: int,
    max_turns: int,
    passages: Sequence[int] = (),
    contexts: int = 1,
    personas: Sequence[int] = (),
    batch: int = 1,
    used: Mapping[int, int] | None = None,
) -> Iterator[SlotPlan]:
    """`n` slots, the same for the same arguments, and the first of a longer plan.

    Numbers of turns (1 to `max_turns`), passages and personas are dealt like cards: none comes again before all others
    have come as often. A slot has `contexts` passages, all different, or all there are when there are fewer; so many as
    `batch` slots have the same ones, and the same persona. Passages that were `used` less often before come first.
    Raises ValueError when a number is out of range. Plans of millions of slots need not be held in memory at once.
    """
    if n < 0 or max_turns < 1 or contexts < 0 or batch < 1:
        raise ValueError("A plan needs n >= 0, max_turns >= 1, contexts >= 0 and batch >= 1.")
    seeds = _chance(seed, "seeds")
    turns = _deal(range(1, max_turns + 1), 1, _chance(seed, "turns"))
    hands = _deal(passages, contexts, _chance(seed, "passages"), used or {})
    casting = _deal(personas, 1, _chance(seed, "personas"))
    batches = ((hand, cast) for hand, cast in zip(hands, casting, strict=False) for _ in range(batch))
    return (
        SlotPlan(
            index=index,
            batch=index // batch,
            leads=index % batch == 0,
            seed=seeds.getrandbits(31),
            turns=length,
            contexts=hand,
            persona=cast[0] if cast else None,
        )
        for index, ((length,), (hand, cast)) in enumerate(islice(zip(turns, batches, strict=False), n))
    )


def slots_for_visits(passages: int, visits: int, *, contexts: int = 1, batch: int = 1) -> int:
    """How many slots ask about each of so many passages `visits` times.

    A slot asks about `contexts` passages. Where the numbers do not go even, the last batch asks about some once more.
    """
    each = min(contexts, passages) * batch
    return -(-passages * visits // each) * batch if each else 0


def _chance(seed: int, purpose: str) -> Random:
    """A stream of its own for each purpose, so that a change of one setting leaves the draws of all others."""
    return Random(f"{seed} {purpose}")  # noqa: S311 - a draw, not a secret


def _deal(
    cards: Sequence[int], size: int, chance: Random, used: Mapping[int, int] | None = None
) -> Iterator[tuple[int, ...]]:
    """Endless hands of `size` different cards, from one shuffled pack after the other.

    Cards that were `used` before join in once the others have come as often: the first packs are made of those that lag.
    """
    size = min(size, len(cards))
    pack: list[int] = []
    packs = _packs(cards, size, used or {})
    while True:
        if len(pack) < size:
            pack = _shuffled_under(pack, next(packs), chance)
        cut = len(pack) - size
        yield tuple(pack[cut:])
        del pack[cut:]


def _packs(cards: Sequence[int], least: int, used: Mapping[int, int]) -> Iterator[Sequence[int]]:
    """Which cards make up each pack: those that lag behind, until all have come as often; then all, for ever.

    A pack has at least `least` cards, so that a hand need not hold one twice.
    """
    lagging = sorted(cards, key=lambda card: used.get(card, 0))
    counts = [used.get(card, 0) for card in lagging]
    for level in range(min(counts, default=0), max(counts, default=0)):
        yield lagging[: max(least, bisect_right(counts, level))]
    while True:
        yield cards


def _shuffled_under(rest: list[int], cards: Sequence[int], chance: Random) -> list[int]:
    """A new pack below the rest of the old one, whose cards lie at its bottom: no hand then holds one twice."""
    number = chance.random
    fresh = sorted(cards, key=lambda _: number())
    if not rest:
        return fresh
    held = set(rest)
    return [card for card in fresh if card in held] + [card for card in fresh if card not in held] + rest
