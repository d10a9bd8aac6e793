"""Counters that stay small however much they are fed."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from itertools import islice
from math import log2
from typing import Generic, TypeVar

from .findings import Diversity

Key = TypeVar("Key", bound=Hashable)

VOCABULARY = 500_000
"""Different words with counts of their own: at most about 100 MB."""
PAIRS = 500_000
"""Different pairs of words that are counted, or a sample of so many: at most about 60 MB."""

_WORD = re.compile(r"\w+(?:['’]\w+)*")


def split_words(text: str) -> list[str]:
    """Lower-case words: runs of letters, digits and inner apostrophes."""
    return _WORD.findall(text.lower())


class BoundedCounter(Generic[Key]):
    """Counts at most `limit` different keys. Those that first come when it is full are not counted."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.counts: dict[Key, int] = {}
        self.is_full = False
        """Whether there were more."""

    def add(self, key: Key, times: int = 1) -> None:
        if key in self.counts:
            self.counts[key] += times
        elif len(self.counts) < self.limit:
            self.counts[key] = times
        else:
            self.is_full = True

    def top(self, number: int) -> list[tuple[Key, int]]:
        """The largest first; among equals, the one that came first."""
        return sorted(self.counts.items(), key=lambda item: -item[1])[:number]


class PairCounter:
    """How many different pairs there are, and how many occur only once.

    Exact up to `limit` different pairs. Beyond, only pairs are counted whose hash ends in enough zeros: a fair sample of
    the different pairs, halved each time that it outgrows the limit, from which both numbers are scaled up.
    """

    def __init__(self, limit: int = PAIRS) -> None:
        self.limit = limit
        self.total = 0
        self._counts: Counter[int] = Counter()
        self._mask = 0

    def add(self, ids: Sequence[int]) -> None:
        """The neighbours in `ids`, numbers below 2**32, are one pair more each."""
        self.total += max(0, len(ids) - 1)
        self._counts.update(
            self._sampled(left << 32 | right for left, right in zip(ids, islice(ids, 1, None), strict=False))
        )
        while len(self._counts) > self.limit:
            self._mask = self._mask << 1 | 1
            self._counts = Counter({pair: self._counts[pair] for pair in self._sampled(iter(self._counts))})

    @property
    def sampled(self) -> float:
        """Share of the different pairs that is counted."""
        return 1 / (self._mask + 1)

    @property
    def different(self) -> int:
        return min(self.total, len(self._counts) * (self._mask + 1))

    @property
    def single(self) -> int:
        return min(self.total, sum(times == 1 for times in self._counts.values()) * (self._mask + 1))

    def _sampled(self, pairs: Iterator[int]) -> Iterator[int]:
        mask = self._mask
        # A number is its own hash, which is anything but fair; that of a tuple is well mixed, and the same every time.
        return (pair for pair in pairs if not hash((pair,)) & mask) if mask else pairs


class Vocabulary:
    """How varied the words of many messages are."""

    def __init__(self, limit: int = VOCABULARY, pairs: int = PAIRS) -> None:
        self.limit = limit
        self._ids: defaultdict[str, int] = defaultdict()
        self._ids.default_factory = self._ids.__len__
        self._counts: Counter[int] = Counter()
        self._pairs = PairCounter(pairs)

    def add(self, words: Sequence[str]) -> None:
        """One message."""
        ids = self._numbered(words)
        self._counts.update(ids)
        self._pairs.add(ids)

    def _numbered(self, words: Sequence[str]) -> list[int]:
        room = self.limit - len(self._ids)
        if room >= len(words):
            return list(map(self._ids.__getitem__, words))
        return [self._ids[word] if len(self._ids) < self.limit else self._ids.get(word, self.limit) for word in words]

    def findings(self) -> Diversity:
        words, pairs = self._counts.total(), self._pairs
        weights = sum(times * log2(times) for times in self._counts.values())
        return Diversity(
            words=words,
            vocabulary=len(self._ids),
            vocabulary_is_full=self.limit in self._counts,
            type_token_ratio=len(self._ids) / words if words else None,
            entropy=max(0.0, log2(words) - weights / words) if words else None,
            bigrams=pairs.total,
            distinct_2=pairs.different / pairs.total if pairs.total else None,
            repeated=(pairs.total - pairs.single) / pairs.total if pairs.total else None,
            sampled=pairs.sampled,
        )
