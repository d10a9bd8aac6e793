"""Round steps and the bins of a histogram."""

from __future__ import annotations

from math import ceil, floor, log10


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
