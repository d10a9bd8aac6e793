"""The plan of a run: even, exact, and the same for the same seed."""

from __future__ import annotations

import time
from collections import Counter
from itertools import chain

import pytest

from generation.engine.sampling import plan


def counts_never_differ_by_more_than_one(dealt: list[tuple[int, ...]], cards: range) -> bool:
    counted: Counter[int] = Counter(dict.fromkeys(cards, 0))
    for hand in dealt:
        counted.update(hand)
        if max(counted.values()) - min(counted.values()) > 1:
            return False
    return True


@pytest.mark.parametrize(("passages", "contexts"), [(1, 1), (4, 1), (5, 3), (7, 2), (3, 3), (10, 9), (20, 20)])
def test_no_passage_is_used_again_before_every_other_has_been(passages: int, contexts: int) -> None:
    slots = list(plan(300, seed=1, max_turns=3, passages=range(passages), contexts=contexts))
    hands = [slot.contexts for slot in slots]
    assert all(len(set(hand)) == contexts for hand in hands)
    assert counts_never_differ_by_more_than_one(hands, range(passages))


def test_four_passages_visited_twice_each_take_eight_slots() -> None:
    slots = plan(8, seed=3, max_turns=1, passages=[11, 12, 13, 14])
    assert Counter(chain.from_iterable(slot.contexts for slot in slots)) == dict.fromkeys([11, 12, 13, 14], 2)


def test_with_fewer_passages_than_asked_for_a_slot_has_them_all_once() -> None:
    assert all(sorted(slot.contexts) == [1, 2] for slot in plan(9, seed=1, max_turns=1, passages=[1, 2], contexts=5))


def test_turns_are_uniform_from_one_to_the_most() -> None:
    turns = Counter(slot.turns for slot in plan(9000, seed=1, max_turns=3))
    assert turns == {1: 3000, 2: 3000, 3: 3000}
    order = [slot.turns for slot in plan(300, seed=1, max_turns=3)]
    assert len({tuple(order[at : at + 3]) for at in range(0, 300, 3)}) == 6


def test_personas_are_dealt_evenly_and_none_is_needed() -> None:
    personas = Counter(slot.persona for slot in plan(20, seed=1, max_turns=3, personas=[5, 6, 7]))
    assert sorted(personas.values()) == [6, 7, 7]
    assert {slot.persona for slot in plan(20, seed=1, max_turns=3)} == {None}


def test_the_same_seed_gives_the_same_plan_and_another_seed_another() -> None:
    def of(seed: int, n: int = 50) -> list:  # type: ignore[type-arg]
        return list(plan(n, seed=seed, max_turns=4, passages=range(30), contexts=2, personas=[1, 2, 3]))

    assert of(1) == of(1)
    assert of(1) != of(2)
    assert of(1, 20) == of(1)[:20]


def test_every_slot_has_a_seed_of_its_own_that_fits_an_integer_column() -> None:
    seeds = [slot.seed for slot in plan(5000, seed=1, max_turns=1)]
    assert len(set(seeds)) > 4990
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_indexes_count_from_zero_and_there_are_exactly_n() -> None:
    assert [slot.index for slot in plan(17, seed=1, max_turns=2)] == list(range(17))
    assert list(plan(0, seed=1, max_turns=2)) == []


@pytest.mark.parametrize("wrong", [{"n": -1}, {"max_turns": 0}, {"contexts": -1}])
def test_numbers_out_of_range_are_refused_before_anything_is_planned(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="needs"):
        plan(**{"n": 5, "seed": 1, "max_turns": 2, **wrong})  # type: ignore[arg-type]


def test_large_plans_are_quick() -> None:
    begun = time.process_time()
    assert (
        sum(1 for _ in plan(100_000, seed=1, max_turns=5, passages=range(100_000), contexts=3, personas=range(9)))
        == 100_000
    )
    assert time.process_time() - begun < 5


def dealt(n: int, used: dict[int, int], contexts: int = 1) -> list[int]:
    slots = plan(n, seed=5, max_turns=1, passages=range(4), contexts=contexts, used=used)
    return [passage for slot in slots for passage in slot.contexts]


def test_passages_that_were_used_join_in_once_the_others_have_come_as_often() -> None:
    assert set(dealt(2, {0: 1, 1: 1})) == {2, 3}
    assert Counter(dealt(6, {0: 1, 1: 1})) == {0: 1, 1: 1, 2: 2, 3: 2}
    assert Counter(dealt(8, {0: 3, 1: 1})) == {1: 2, 2: 3, 3: 3}


def test_a_hand_is_whole_and_holds_no_passage_twice_whatever_was_used() -> None:
    slots = list(plan(40, seed=5, max_turns=1, passages=range(4), contexts=3, used={0: 2, 1: 5, 2: 5, 3: 5}))
    assert all(len(set(slot.contexts)) == 3 for slot in slots)
