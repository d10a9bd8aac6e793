"""The plan of a run: what each of its slots is asked to be, drawn from one seed before the first call is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """One slot: `contexts` and `persona` are what was dealt to it of `passages` and `personas`."""

    index: int
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
) -> Iterator[SlotPlan]:
    """`n` slots, the same for the same arguments, and the first of a longer plan.

    Numbers of turns (1 to `max_turns`), passages and personas are dealt like cards: none comes again before all others
    have come as often. A slot has `contexts` passages, all different, or all there are when there are fewer.
    Raises ValueError when a number is out of range. Plans of millions of slots need not be held in memory at once.
    """
    if n < 0 or max_turns < 1 or contexts < 0:
        raise ValueError("A plan needs n >= 0, max_turns >= 1 and contexts >= 0.")
    seeds = _chance(seed, "seeds")
    turns = _deal(range(1, max_turns + 1), 1, _chance(seed, "turns"))
    hands = _deal(passages, contexts, _chance(seed, "passages"))
    casting = _deal(personas, 1, _chance(seed, "personas"))
    slots = zip(turns, hands, casting, strict=False)
    return (
        SlotPlan(index, seeds.getrandbits(31), length, hand, cast[0] if cast else None)
        for index, ((length,), hand, cast) in enumerate(islice(slots, n))
    )


def _chance(seed: int, purpose: str) -> Random:
    """A stream of its own for each purpose, so that a change of one setting leaves the draws of all others."""
    return Random(f"{seed} {purpose}")  # noqa: S311 - a draw, not a secret


def _deal(cards: Sequence[int], size: int, chance: Random) -> Iterator[tuple[int, ...]]:
    """Endless hands of `size` different cards, from one shuffled pack after the other."""
    size = min(size, len(cards))
    pack: list[int] = []
    while True:
        if len(pack) < size:
            pack = _shuffled_under(pack, cards, chance)
        cut = len(pack) - size
        yield tuple(pack[cut:])
        del pack[cut:]


def _shuffled_under(rest: list[int], cards: Sequence[int], chance: Random) -> list[int]:
    """A new pack below the rest of the old one, whose cards lie at its bottom: no hand then holds one twice."""
    number = chance.random
    fresh = sorted(cards, key=lambda _: number())
    if not rest:
        return fresh
    held = set(rest)
    return [card for card in fresh if card in held] + [card for card in fresh if card not in held] + rest
