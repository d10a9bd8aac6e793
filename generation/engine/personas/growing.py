"""How far personas branch: sizes of trees, and the depth that a number of conversations asks for.

The people of a document stand in layers: five are written from its text, five more from each of those, and so on, so
that a tree of depth n has 5, 25, 125, … personas and 5 + 25 + … + 5^(n+1) in all.
"""

from __future__ import annotations

from itertools import count

from generation.engine.prompts.personas import PERSONAS_A_STEP

BRANCHES = PERSONAS_A_STEP
"""Personas that one step makes."""


def layers(depth: int) -> list[int]:
    """The sizes of the layers of one document's tree, the nearest to the text first."""
    return [BRANCHES ** (layer + 1) for layer in range(depth + 1)]


def personas_of(depth: int) -> int:
    """How many personas a document has in all when its deepest layer is `depth`: 5, 30, 155, 780, 3905, …"""
    return sum(layers(depth))


def calls_of(depth: int) -> int:
    """How many steps make one document's tree: each makes five personas."""
    return personas_of(depth) // BRANCHES


def calls_for(documents: int, depth: int) -> int:
    """The same for many documents: D·(5^(n+1)−1)/4, when no step has to be repeated and none fails."""
    return documents * calls_of(depth)


def depth_for(target: int | None) -> int:
    """The depth at which the size of a tree comes nearest to `target` personas, the smaller of two that are as near.

    A target that is not known asks for the first layer alone.
    """
    if target is None:
        return 0
    for depth in count():
        here, next_one = personas_of(depth), personas_of(depth + 1)
        if target - here <= next_one - target:
            return depth
    raise AssertionError("A tree of some depth is as large as any number.")


def target_per_document(
    documents: int, *, requested: int | None = None, visits: int | None = None, contexts: int = 1, own: int = 1
) -> int | None:
    """How many conversations are to draw a persona from one document; None when that is not known.

    `documents` are those that can be sampled, `requested` the conversations in all. `visits` is how often each is to be
    used, when that is fixed; a conversation uses `contexts` of them and draws from one. Where documents are cut into
    passages, give the passages in all as `documents`, and those of this document as `own`.
    """
    if visits is not None:
        return -(-visits * own // contexts)
    if requested is None or documents < 1:
        return None
    return -(-requested * own // documents)
