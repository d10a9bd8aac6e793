"""Personas from documents: trees, targets, selection and casting, by the tables that they were specified with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from generation.engine.personas import (
    Casting,
    Grown,
    PersonaHand,
    calls_for,
    cast,
    depth_for,
    layer_weights,
    layers,
    personas_of,
    target_per_document,
)
from generation.engine.sampling import SlotPlan, plan


def tree(deepest: int) -> list[Grown]:
    """A document's personas, the deepest first, so that their order is not the one that they are drawn in."""
    sizes = list(enumerate(layers(deepest)))
    return [Grown(10**6 * depth + number, depth) for depth, size in reversed(sizes) for number in range(size)]


def drawn(pool: Sequence[Grown], target: int | None, count: int, seed: int = 1) -> list[Grown]:
    hand = PersonaHand(pool, target, Random(seed))
    return [hand.draw() for _ in range(count)]


# -- trees --------------------------------------------------------------------------------------------------------------


def test_a_tree_has_layers_of_five_twenty_five_and_a_hundred_and_twenty_five() -> None:
    assert layers(2) == [5, 25, 125]
    assert [personas_of(depth) for depth in range(5)] == [5, 30, 155, 780, 3905]


def test_four_documents_two_layers_deep_take_a_hundred_and_twenty_four_calls() -> None:
    assert calls_for(4, 2) == 124
    assert [calls_for(1, depth) for depth in range(4)] == [1, 6, 31, 156]
    assert calls_for(0, 3) == 0


@pytest.mark.parametrize(
    ("target", "depth"),
    [(1, 0), (5, 0), (6, 0), (20, 1), (31, 1), (155, 2), (156, 2), (1000, 3), (3905, 4), (100_000, 6), (None, 0)],
)
def test_the_depth_is_the_one_whose_tree_comes_nearest_to_the_target(target: int | None, depth: int) -> None:
    assert depth_for(target) == depth


@pytest.mark.parametrize(
    ("documents", "contexts", "requested", "target"),
    [
        (1, 1, 1, 1),
        (2, 1, 20, 10),
        (2, 2, 20, 10),
        (4, 1, 1000, 250),
        (5, 3, 100_000, 20_000),
        (2, 1, 7, 4),
        (2, 1, 12, 6),  # of three documents, one of which is covered already
    ],
)
def test_conversations_are_shared_evenly_by_the_documents_that_can_be_sampled(
    documents: int, contexts: int, requested: int, target: int
) -> None:
    assert target_per_document(documents, requested=requested, contexts=contexts) == target


def test_fixed_visits_are_shared_by_the_documents_of_a_conversation() -> None:
    assert target_per_document(9, requested=7, visits=3, contexts=2) == 2


def test_a_target_is_unknown_without_a_number_or_without_documents() -> None:
    assert target_per_document(3) is None
    assert target_per_document(0, requested=5) is None


@pytest.mark.parametrize(
    ("target", "depth"),
    [
        (target_per_document(1, requested=20), 1),
        (target_per_document(5, requested=20), 0),
        (target_per_document(2, visits=1000), 3),
        (target_per_document(2, visits=20, contexts=2), 0),
    ],
)
def test_the_depth_follows_from_what_a_document_is_asked_for(target: int, depth: int) -> None:
    assert depth_for(target) == depth


def test_a_document_of_many_passages_is_asked_for_more_than_one_of_few() -> None:
    assert target_per_document(100, requested=100, own=90) == 90
    assert target_per_document(100, requested=100, own=10) == 10
    assert target_per_document(100, visits=2, contexts=4, own=10) == 5


# -- selection ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "depths"),
    [
        (1, {0: 1}),
        (6, {0: 5, 1: 1}),
        (20, {0: 5, 1: 15}),
        (31, {0: 5, 1: 25, 2: 1}),
        (156, {0: 5, 1: 25, 2: 125, 3: 1}),
        (1000, {0: 5, 1: 25, 2: 125, 3: 625, 4: 220}),
        (3905, {0: 5, 1: 25, 2: 125, 3: 625, 4: 3125}),
    ],
)
def test_the_layers_nearest_to_the_text_are_drawn_first_and_nobody_twice(target: int, depths: dict[int, int]) -> None:
    found = drawn(tree(4), target, target)
    assert Counter(grown.depth for grown in found) == depths
    assert len(set(found)) == target


def test_when_the_target_is_used_up_it_begins_again_with_the_same_ones() -> None:
    found = drawn(tree(2), 6, 18)
    assert found[:6] == found[6:12] == found[12:]


def test_without_a_target_the_whole_pool_is_drawn_in_turn() -> None:
    found = drawn(tree(1), None, 60)
    assert set(found[:30]) == set(tree(1))
    assert found[:30] == found[30:]


def test_a_target_beyond_the_pool_draws_by_layers_that_weigh_from_the_nearest_to_the_farthest() -> None:
    pool = tree(4)
    totals: Counter[int] = Counter()
    for grown, weight in zip(pool, layer_weights(pool), strict=True):
        totals[grown.depth] += weight  # type: ignore[assignment]
    assert {depth: round(total, 9) for depth, total in totals.items()} == {0: 5, 1: 4, 2: 3, 3: 2, 4: 1}
    counted = Counter(grown.depth for grown in drawn(pool, 3906, 30_000))
    for depth, share in enumerate((5 / 15, 4 / 15, 3 / 15, 2 / 15, 1 / 15)):
        assert counted[depth] / 30_000 == pytest.approx(share, abs=0.015)


def test_the_same_seed_draws_the_same_and_the_pool_stays_as_it_is() -> None:
    pool = tree(1)
    before = list(pool)
    assert drawn(pool, 500, 500, seed=4) == drawn(pool, 500, 500, seed=4)
    assert drawn(pool, 500, 500, seed=4) != drawn(pool, 500, 500, seed=5)
    assert pool == before


def test_a_persona_without_a_depth_stands_in_the_first_layer() -> None:
    assert drawn([Grown(1, 2), Grown(2)], 1, 1) == [Grown(2, 0)]


def test_there_is_no_hand_without_personas() -> None:
    with pytest.raises(ValueError, match="at least one"):
        PersonaHand([], 3, Random(1))


# -- casting ------------------------------------------------------------------------------------------------------------


def slots(n: int, passages: Sequence[int], *, contexts: int = 1, batch: int = 1) -> list[SlotPlan]:
    made = plan(n, seed=1, max_turns=1, passages=passages, contexts=contexts, personas=[901, 902], batch=batch)
    return list(made)


def test_each_conversation_is_asked_by_a_persona_of_its_own_document() -> None:
    casting = Casting({10: [Grown(100)], 20: [Grown(200)]}, {1: 10, 2: 20}, 2)
    made = list(cast(slots(20, [1, 2]), casting, seed=1, requested=20))
    assert {(slot.contexts[0], slot.persona) for slot in made} == {(1, 100), (2, 200)}


def test_documents_without_personas_fall_back_to_those_of_the_recipe() -> None:
    planned = slots(20, [1, 2])
    casting = Casting({10: [Grown(100)], 20: []}, {1: 10, 2: 20}, 2)
    made = list(cast(planned, casting, seed=1, requested=20))
    for before, after in zip(planned, made, strict=True):
        assert after.persona == (100 if before.contexts == (1,) else before.persona)


def test_twenty_conversations_of_one_document_use_all_of_its_first_layer_and_fifteen_of_its_second() -> None:
    casting = Casting({10: tree(2)}, {1: 10}, 1)
    made = list(cast(slots(20, [1]), casting, seed=1, requested=20))
    assert len({slot.persona for slot in made}) == 20
    assert Counter((slot.persona or 0) // 10**6 for slot in made) == {0: 5, 1: 15}


def test_a_document_of_more_passages_uses_more_of_its_personas() -> None:
    documents = dict.fromkeys(range(1, 10), 10) | {99: 20}
    made = list(
        cast(slots(100, [*documents]), Casting({10: tree(2), 20: tree(2)}, documents, 10), seed=1, requested=100)
    )
    used = {document: {s.persona for s in made if documents[s.contexts[0]] == document} for document in (10, 20)}
    assert {document: len(personas) for document, personas in used.items()} == {10: 90, 20: 10}


def test_a_conversation_of_several_documents_is_asked_by_one_that_has_personas() -> None:
    casting = Casting({10: [Grown(100)], 30: [Grown(300)]}, {1: 10, 2: 20, 3: 30}, 3)
    made = list(cast(slots(60, [1, 2, 3], contexts=3), casting, seed=1, requested=60))
    assert {slot.persona for slot in made} == {100, 300}


def test_questions_that_are_written_together_are_written_for_one_persona() -> None:
    casting = Casting({10: tree(0), 20: [Grown(50 + number) for number in range(5)]}, {1: 10, 2: 20}, 2)
    made = list(cast(slots(30, [1, 2], batch=3), casting, seed=1, requested=30, batch=3))
    together = {slot.batch: {one.persona for one in made if one.batch == slot.batch} for slot in made}
    assert all(len(personas) == 1 for personas in together.values())
    assert len({slot.persona for slot in made}) == 10  # five of each document


def test_casting_is_the_same_for_the_same_seed_and_changes_nothing_else() -> None:
    planned, casting = slots(50, [1, 2]), Casting({10: tree(1), 20: tree(1)}, {1: 10, 2: 20}, 2)
    made = list(cast(planned, casting, seed=3, requested=1000))
    assert made == list(cast(planned, casting, seed=3, requested=1000))
    assert made != list(cast(planned, casting, seed=4, requested=1000))
    assert [(slot.seed, slot.turns, slot.contexts) for slot in made] == [(s.seed, s.turns, s.contexts) for s in planned]
