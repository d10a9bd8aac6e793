"""Round steps and the bins of histograms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from math import ceil, floor, log10

from .findings import Bins


def round_step(span: float, parts: int) -> float:
    """The smallest step of 1, 2 or 5 times a power of ten that covers `span` in at most `parts` steps."""
    if span <= 0:
        return 1.0
    power: float = 10.0 ** floor(log10(span / parts))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor * parts >= span * (1 - 1e-9))


def round_ticks(top: float, parts: int = 4) -> list[float]:
    """From 0 in round steps to `top` or just above it."""
    step = round_step(top, parts)
    return [index * step for index in range(max(1, ceil(top / step - 1e-9)) + 1)]


def tenths(counts: Iterable[int]) -> Bins:
    """Ten bins from 0 to 1, of which the last holds 1 as well."""
    edges = tuple(index / 10 for index in range(11))
    return Bins(
        edges=edges, counts=tuple(counts), names=tuple(f"{low:.1f} – {high:.1f}" for low, high in pairwise(edges))
    )


def tenth(score: float) -> int:
    """The bin of `tenths` that a score from 0 to 1 belongs to."""
    return min(9, int(score * 10 + 1e-9))


def whole_edges(numbers: Mapping[int, int], parts: int = 12) -> tuple[int, ...]:
    """Round edges for whole numbers with their frequencies: at most `parts` bins, the highest hundredth in the last one."""
    top = max(1, quantile(numbers, 0.99) or 0)
    step = max(1, round(round_step(top + 1, parts)))
    return tuple(range(0, step * ceil((top + 1) / step) + 1, step))


def whole_bins(numbers: Mapping[int, int], edges: tuple[int, ...]) -> Bins:
    """`numbers` in the bins of `edges`, which begin with 0 and are evenly spaced."""
    step, last = edges[1], len(edges) - 2
    counts = [0] * (last + 1)
    for number, times in numbers.items():
        counts[min(last, number // step)] += times
    open_ended = max(numbers, default=0) >= edges[-1]
    names = [f"{low} – {high - 1}" if step > 1 else f"{low}" for low, high in pairwise(edges)]
    if open_ended:
        names[-1] = f"{edges[last]} and more"
    return Bins(edges=edges, counts=tuple(counts), names=tuple(names), open_ended=open_ended)


def quantile(numbers: Mapping[int, int], share: float) -> int | None:
    """The smallest number that at least `share` of all do not exceed; None where there are none."""
    wanted, seen = share * sum(numbers.values()), 0
    for number in sorted(numbers):
        seen += numbers[number]
        if seen >= wanted - 1e-9:
            return number
    return None
