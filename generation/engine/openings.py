"""Near-duplicate first questions, found by their words before anything is paid for the rest of the dialog.

Two texts are compared by the Jaccard similarity of their sets of words and pairs of neighbouring words. A sketch of
MinHash bands (Broder 1997; Leskovec, Rajaraman, Ullman, ch. 3) finds the few worth comparing without reading all: texts
of similarity s share a band with probability 1 - (1 - s^4)^10, which is 0.94 at 0.7.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from random import Random
from zlib import crc32

from .protocols import Brief

ALIKE = 0.7
"""From this similarity on, two first questions are near-duplicates."""
BANDS, ROWS = 10, 4

_PRIME = (1 << 31) - 1
_DRAW = Random(20240611)  # noqa: S311 - fixed, so that sketches can be compared across processes and years
_HASHES = tuple((_DRAW.randrange(1, _PRIME), _DRAW.randrange(_PRIME)) for _ in range(BANDS * ROWS))
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")


def features(text: str) -> frozenset[str]:
    """Words and pairs of neighbouring words, lower-cased; of scripts without spaces, characters and pairs of them."""
    words = _WORD.findall(text.casefold())
    return frozenset([*words, *(f"{a} {b}" for a, b in pairwise(words))])


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard: from 0, nothing in common, to 1, the same."""
    union = len(one | other)
    return len(one & other) / union if union else 1.0


def sketch(text: str, salt: int = 0) -> list[int]:
    """`BANDS` numbers of 63 bits. Sketches of one `salt` that share a number are worth comparing."""
    return list(_sketch(text, salt))


@lru_cache(maxsize=1024)  # it is asked for when a text is looked up and when it is kept
def _sketch(text: str, salt: int) -> tuple[int, ...]:
    hashed = [crc32(feature.encode("utf-8", "replace")) % _PRIME for feature in features(text)] or [0]
    least = [min((a * h + b) % _PRIME for h in hashed) for a, b in _HASHES]
    bands = (least[start : start + ROWS] for start in range(0, len(least), ROWS))
    return tuple(_number(salt, position, band) for position, band in enumerate(bands))


def _number(salt: int, position: int, band: Sequence[int]) -> int:
    said = f"{salt}:{position}:{band}".encode()
    return (crc32(said) << 31) | (crc32(said[::-1]) & 0x7FFFFFFF)


class Anything:
    """Admits whatever comes, for runs that may ask the same twice."""

    async def admit(self, brief: Brief, proposed: Sequence[str]) -> str | None:
        return proposed[0]


class Known:
    """First questions of one process, in memory. Those beyond the first of a proposal are not handed on."""

    def __init__(self, salt: int = 0) -> None:
        self._salt = salt
        self._bands: dict[int, list[frozenset[str]]] = defaultdict(list)

    async def admit(self, brief: Brief, proposed: Sequence[str]) -> str | None:
        return next((text for text in proposed if self.takes(text)), None)

    def add(self, text: str, numbers: Sequence[int]) -> None:
        """A text that has been taken elsewhere, with its sketch."""
        words = features(text)
        for number in numbers:
            self._bands[number].append(words)

    def takes(self, text: str) -> bool:
        """Whether it is near no other. If so, it is known from now on."""
        words, numbers = features(text), sketch(text, self._salt)
        near = (known for number in numbers for known in self._bands.get(number, ()))
        if any(similarity(words, known) >= ALIKE for known in near):
            return False
        self.add(text, numbers)
        return True
