"""Which rows of a file are for training and which for validation: rows that are related stand on one side."""

from __future__ import annotations

import random
from array import array
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Literal

Together = Literal["documents", "passages", "personas", "nothing"]


@dataclass(frozen=True, slots=True)
class Split:
    """How rows are divided. The same rows are divided in the same way by the same seed."""

    validation: float
    """Share of the rows, above 0 and below 1."""
    together: Together = "documents"
    """What related rows have in common."""
    shuffle: bool = True
    """Both sides in an order of chance; otherwise validation takes the first rows, and all keep their order."""
    seed: int = 42

    def wanted(self, rows: int) -> int:
        """Rows for validation, of so many: never none."""
        return max(1, int(rows * self.validation))


class Inseparable(ValueError):
    """All rows are related, so that no side can have one which the other side does not have a relative of."""


class Relations:
    """Rows that share a tie are related, and so are relatives of relatives. Some 200 bytes a row and its tie."""

    def __init__(self) -> None:
        self._parents = array("L")
        self._tied: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._parents)

    def add(self, ties: Iterable[Hashable]) -> None:
        """The next row."""
        row = len(self._parents)
        self._parents.append(row)
        for tie in ties:
            self._parents[self.root(self._tied.setdefault(tie, row))] = self.root(row)

    def root(self, row: int) -> int:
        """The same number for all rows that are related."""
        while self._parents[row] != row:
            self._parents[row] = row = self._parents[self._parents[row]]
        return row


def divide(relations: Relations, split: Split) -> tuple[list[int], list[int]]:
    """The numbers of the rows for training and for validation, in the order in which they are written.

    Validation has as many as `split` wants if relatives allow it, else fewer, or else one group of relatives. Where no
    row has relatives, the AfterImage library divides the same rows in the same way. Raises Inseparable.
    """
    order = list(range(len(relations)))
    if split.shuffle:
        random.Random(split.seed).shuffle(order)  # noqa: S311 (nothing is kept secret by it)
    sizes: dict[int, int] = {}
    for row in order:
        root = relations.root(row)
        sizes[root] = sizes.get(root, 0) + 1
    if len(sizes) < 2:
        raise Inseparable
    chosen = _chosen(sizes, split.wanted(len(order)))
    apart = [relations.root(row) in chosen for row in order]
    train = [row for row, held in zip(order, apart, strict=True) if not held]
    return train, [row for row, held in zip(order, apart, strict=True) if held]


def _chosen(sizes: dict[int, int], wanted: int) -> set[int]:
    """Groups that fit into what is wanted, in their order; the smallest one where none does."""
    left, chosen = wanted, set()
    for root, size in sizes.items():
        if size <= left:
            chosen.add(root)
            left -= size
    return chosen or {min(sizes, key=lambda root: sizes[root])}
