"""Who asks in each conversation of a run, where documents have personas of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from generation.engine.sampling import SlotPlan

from .growing import target_per_document
from .selection import Grown, PersonaHand


@dataclass(frozen=True, slots=True)
class Casting:
    """`grown`: the personas of documents. `documents`: the document of each passage of those, of `passages` in all."""

    grown: Mapping[int, Sequence[Grown]]
    documents: Mapping[int, int]
    passages: int


def cast(
    plans: Iterable[SlotPlan],
    casting: Casting,
    *,
    seed: int,
    requested: int | None,
    visits: int | None = None,
    contexts: int = 1,
    batch: int = 1,
) -> Iterator[SlotPlan]:
    """The `plans` with the persona of each batch drawn from the personas of one of its documents.

    Of the documents of its passages that have personas one is picked by chance, then the next of that document's hand. A
    batch none of whose documents has any keeps the persona that its plan came with. `requested` are the conversations in
    all, `visits` how often each passage is used where that is fixed. The same for the same arguments.
    """
    chance = Random(f"{seed} casting")  # noqa: S311 - a draw, not a secret
    draws = None if requested is None else -(-requested // batch)
    hands = _hands(casting, chance, draws, visits, contexts)
    persona: int | None = None
    for plan in plans:
        if plan.leads:
            theirs = sorted({casting.documents.get(passage, 0) for passage in plan.contexts} & hands.keys())
            persona = hands[chance.choice(theirs)].draw().persona if theirs else plan.persona
        yield replace(plan, persona=persona)


def _hands(
    casting: Casting, chance: Random, draws: int | None, visits: int | None, contexts: int
) -> dict[int, PersonaHand]:
    """A hand for each document that has both passages and personas. A document's share is that of its passages."""
    own = Counter(casting.documents.values())
    return {
        document: PersonaHand(pool, _target(casting.passages, draws, visits, contexts, own[document]), chance)
        for document, pool in casting.grown.items()
        if pool and document in own
    }


def _target(passages: int, draws: int | None, visits: int | None, contexts: int, own: int) -> int | None:
    return target_per_document(passages, requested=draws, visits=visits, contexts=contexts, own=own)
