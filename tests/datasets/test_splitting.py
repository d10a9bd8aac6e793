"""Rows that are divided into training and validation: relatives on one side, the same way by the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from datasets.formats.splitting import Inseparable, Relations, Split, divide


def related(*ties: Sequence[str]) -> Relations:
    relations = Relations()
    for one in ties:
        relations.add(one)
    return relations


@pytest.mark.parametrize("seed", range(20))
def test_relatives_of_relatives_are_never_on_both_sides_and_no_row_is_lost(seed: int) -> None:
    chance = random.Random(seed)
    ties = [[f"d{chance.randrange(60)}" for _ in range(chance.randint(0, 2))] for _ in range(100)]
    train, held = divide(related(*ties), Split(0.2, seed=seed))
    assert sorted(train + held) == list(range(100))
    assert held
    assert not {tie for row in train for tie in ties[row]} & {tie for row in held for tie in ties[row]}


@pytest.mark.parametrize(
    ("rows", "share", "held"), [(10, 0.1, 1), (10, 0.25, 2), (10, 0.01, 1), (10, 0.9, 9), (2, 0.5, 1), (3, 0.99, 2)]
)
def test_rows_without_relatives_are_divided_to_the_row(rows: int, share: float, held: int) -> None:
    train, validation = divide(related(*[[]] * rows), Split(share))
    assert (len(train), len(validation)) == (rows - held, held)


def test_rows_without_relatives_are_divided_as_the_library_does() -> None:
    order = list(range(50))
    random.Random(7).shuffle(order)
    assert divide(related(*[[]] * 50), Split(0.3, seed=7)) == (order[15:], order[:15])
    assert divide(related(*[[]] * 50), Split(0.3, shuffle=False)) == (list(range(15, 50)), list(range(15)))


def test_the_same_seed_divides_alike_and_another_one_otherwise() -> None:
    ties = [[f"d{n % 30}"] for n in range(90)]
    one, again, other = (divide(related(*ties), Split(0.2, seed=seed)) for seed in (1, 1, 2))
    assert one == again != other
    assert len(one[1]) == len(other[1]) == 18


def test_groups_that_do_not_fit_are_left_to_training_and_the_smallest_is_taken_when_none_fits() -> None:
    ties = [["big"]] * 8 + [["small"]] * 3 + [["one"]]
    for seed in range(10):
        _, held = divide(related(*ties), Split(0.34, seed=seed))
        assert sorted(held) == [8, 9, 10, 11]
    train, held = divide(related(*[["big"]] * 8, *[["small"]] * 3), Split(0.1))
    assert (len(train), sorted(held)) == (8, [8, 9, 10])


@pytest.mark.parametrize("ties", [[], [["a"]], [["a"], ["a", "b"], ["b"]]])
def test_rows_that_are_all_related_cannot_be_divided(ties: list[list[str]]) -> None:
    with pytest.raises(Inseparable):
        divide(related(*ties), Split(0.5))
