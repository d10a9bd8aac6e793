"""Scores from embeddings: how near what was said lies to what it was said about.

A score is a cosine: 1 for texts of the same direction, 0 for unrelated ones, and what lies below 0 counts as 0. It says
whether two texts are about the same thing, never whether one is true. Models differ in how near unrelated texts lie, so
only scores of the same embedding model compare.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import mul
from statistics import fmean

from datasets.schema import Dialog, Score, Source
from generation.engine.errors import DialogError
from generation.engine.judging import VECTOR_CRITERIA, VectorCriterion
from generation.engine.protocols import Brief, CallLog, Embedder, Verdict

from .criteria import exchanges, passages_before

LONGEST = 4000
"""Characters of a text that are embedded, its first: about a thousand tokens, which most embedding models read."""

Vectors = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A text and those that it should lie near to: the nearest of them counts. `what` names it in feedback."""

    what: str
    text: str
    near: tuple[str, ...]

    def value(self, vectors: Vectors) -> float:
        cosine = max(sum(map(mul, vectors[self.text], vectors[other])) for other in self.near)
        return min(max(cosine, 0.0), 1.0)


def coherence(dialog: Dialog, brief: Brief) -> list[Comparison]:
    """Every answer and the message that it answers."""
    return [
        Comparison(f"answer {n}", _cut(one.answer), (_cut(one.question),)) for n, one in enumerate(exchanges(dialog), 1)
    ]


def relevance(dialog: Dialog, brief: Brief) -> list[Comparison]:
    """Every message of the user and the passages that the dialog was to be about."""
    asked = [message.content for message in dialog.messages if message.role == "user"]
    return _near_passages("question", enumerate(asked, 1), lambda _: brief.contexts)


def vector_grounding(dialog: Dialog, brief: Brief) -> list[Comparison]:
    """Every answer and the passages that the assistant was given for it."""
    said = exchanges(dialog)
    answers = enumerate((one.answer for one in said), 1)
    return _near_passages("answer", answers, lambda n: passages_before(dialog, said[n - 1].index))


MEASURES: dict[VectorCriterion, Callable[[Dialog, Brief], list[Comparison]]] = {
    "coherence": coherence,
    "relevance": relevance,
    "vector_grounding": vector_grounding,
}
_NOT_APPLIED: dict[VectorCriterion, str] = {
    "coherence": "Nothing was asked and answered.",
    "relevance": "The conversation was written from no passages.",
    "vector_grounding": "No passages were given to the assistant.",
}


@dataclass(frozen=True, slots=True)
class VectorJudge:
    """All criteria that compare embeddings, from one call to the embedder a dialog. Each is the mean of its comparisons.

    `overall` is the mean of the criteria that apply. `model` names the embedding model in verdicts.
    """

    embedder: Embedder
    criteria: tuple[VectorCriterion, ...] = VECTOR_CRITERIA
    model: str = ""
    name: str = "vector_judge"

    async def judge(self, dialog: Dialog, brief: Brief, calls: CallLog) -> Verdict:
        compared = {name: MEASURES[name](dialog, brief) for name in self.criteria}
        texts = {text: None for made in compared.values() for one in made for text in (one.text, *one.near)}
        vectors = await self._embedded(list(texts))
        scores = tuple(_score(name, made, vectors) for name, made in compared.items())
        values = [score.value for score in scores if score.value is not None]
        said = " ".join(
            f"{score.criterion.replace('_', ' ').capitalize()}: {score.feedback}"
            for score in scores
            if score.value is not None
        )
        return Verdict(self.name, self.model, scores, fmean(values) if values else None, said)

    async def _embedded(self, texts: Sequence[str]) -> Vectors:
        vectors = await self.embedder.embed(texts) if texts else []
        if len({len(vector) for vector in vectors}) > 1:
            raise DialogError("The embedding model gave vectors of different sizes.")
        return dict(zip(texts, map(_unit, vectors), strict=True))


def _score(name: VectorCriterion, compared: Sequence[Comparison], vectors: Vectors) -> Score:
    if not compared:
        return Score(criterion=name, value=None, feedback=_NOT_APPLIED[name])
    values = [one.value(vectors) for one in compared]
    lowest = values.index(min(values))
    feedback = f"lowest at {compared[lowest].what} ({values[lowest]:.2f})."
    return Score(criterion=name, value=fmean(values), feedback=feedback)


def _near_passages(
    what: str, texts: Iterable[tuple[int, str]], passages: Callable[[int], Sequence[Source]]
) -> list[Comparison]:
    near = ((n, text, tuple(_cut(one.text) for one in passages(n) if one.text.strip())) for n, text in texts)
    return [Comparison(f"{what} {n}", _cut(text), found) for n, text, found in near if found and text.strip()]


def _cut(text: str) -> str:
    return text.strip()[:LONGEST]


def _unit(vector: Sequence[float]) -> list[float]:
    length = math.sqrt(sum(map(mul, vector, vector)))
    if not math.isfinite(length):
        raise DialogError("The embedding model gave a vector that is not made of numbers.")
    return [value / length for value in vector] if length else list(vector)
