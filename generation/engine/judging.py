"""The part of a recipe that says how conversations are judged: by what, how the scores come together, what they mean."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from .part import Part

ModelCriterion = Literal["factuality", "grounding", "helpfulness"]
VectorCriterion = Literal["coherence", "relevance", "vector_grounding"]
Aggregation = Literal["mean", "weighted", "min"]
GradeName = Literal["perfect", "good", "needs_improvement", "bad", "not_acceptable"]

MODEL_CRITERIA: tuple[ModelCriterion, ...] = ("factuality", "grounding", "helpfulness")
VECTOR_CRITERIA: tuple[VectorCriterion, ...] = ("coherence", "relevance", "vector_grounding")

Threshold = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(gt=0, le=100)]


def reaches(overall: float, floor: float) -> bool:
    """Whether a score is at least `floor`. Means of decimal scores land a hair beside the threshold that they equal."""
    return overall >= floor - 1e-9


class Grades(Part):
    """The lowest overall score of each grade; what lies below all of them is not acceptable."""

    perfect: Threshold = 0.88
    good: Threshold = 0.72
    needs_improvement: Threshold = 0.52
    bad: Threshold = 0.32

    @model_validator(mode="after")
    def _fall_from_grade_to_grade(self) -> Grades:
        if any(higher <= lower for higher, lower in pairwise(self._floors().values())):
            raise ValueError("Grades need falling thresholds: perfect above good, needs improvement, and bad.")
        return self

    def of(self, overall: float) -> GradeName:
        """The grade of an overall score from 0 to 1."""
        return next((name for name, floor in self._floors().items() if reaches(overall, floor)), "not_acceptable")

    def _floors(self) -> dict[GradeName, float]:
        return {
            "perfect": self.perfect,
            "good": self.good,
            "needs_improvement": self.needs_improvement,
            "bad": self.bad,
        }


class EmbeddingChoice(Part):
    """Which model turns texts into vectors. An empty `model` means the endpoint's own default."""

    endpoint: int
    model: str = ""


class CustomEvaluator(Part):
    """An evaluator that the installation adds, by its name in the settings, with options of its own."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    options: dict[str, Any] = {}
    weight: Weight = 1


class Judging(Part):
    """How every conversation of a run is judged."""

    weights: dict[ModelCriterion | VectorCriterion, Weight] = {"factuality": 1, "grounding": 1, "helpfulness": 1}
    """The built-in criteria that are used, each with its weight. Coherence, relevance and vector_grounding compare
    embeddings; the others are asked of the judge's model."""
    criteria: tuple[int, ...] = ()
    """Criteria of the project's own, which bring their weights along; they are asked of the judge's model."""
    others: Annotated[tuple[CustomEvaluator, ...], Field(max_length=10)] = ()
    aggregation: Aggregation = "mean"
    """`mean` counts all alike, `weighted` by their weights, `min` takes the lowest score."""
    grades: Grades = Grades()
    embedding: EmbeddingChoice | None = None

    @model_validator(mode="after")
    def _can_be_done(self) -> Judging:
        if not (self.weights or self.criteria or self.others):
            raise ValueError("Choose at least one criterion to judge by.")
        if self.compared and self.embedding is None:
            names = ", ".join(name.replace("_", " ") for name in self.compared)
            raise PydanticCustomError(
                "embedding", "Choose an embedding model to judge by {names}, or leave that out.", {"names": names}
            )
        return self

    @property
    def asks_model(self) -> bool:
        """Whether the judge's model is needed."""
        return bool(self.criteria) or any(name in self.weights for name in MODEL_CRITERIA)

    @property
    def compared(self) -> tuple[VectorCriterion, ...]:
        """The criteria that compare embeddings."""
        return tuple(name for name in VECTOR_CRITERIA if name in self.weights)
