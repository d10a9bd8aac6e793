"""What a project judges its conversations by, and the grades that come of it."""

from __future__ import annotations

from typing import Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from .people import Project


class Grade(models.TextChoices):
    """What an overall score means; each run has its own thresholds."""

    PERFECT = "perfect", "Perfect"
    GOOD = "good", "Good"
    NEEDS_IMPROVEMENT = "needs_improvement", "Needs improvement"
    BAD = "bad", "Bad"
    NOT_ACCEPTABLE = "not_acceptable", "Not acceptable"


BUILT_IN_CRITERIA = {
    "factuality": "What the assistant says is true, and no passage contradicts it. A model judges.",
    "grounding": "What the assistant says stands in the passages that it was given. A model judges.",
    "helpfulness": "The assistant answers what was asked, completely and clearly. A model judges.",
    "coherence": "Answers are about the same thing as their questions, by their embeddings.",
    "relevance": "Questions are about the passages that they were written from, by their embeddings.",
    "vector_grounding": "Answers are about the same thing as the passages that they were given, by their embeddings.",
}
"""The criteria that every project has, and what each looks at."""


class CriterionQuerySet(models.QuerySet["Criterion"]):
    def usable(self) -> Self:
        return self.filter(archived=False)


class Criterion(models.Model):
    """One thing that a project has its conversations scored by, besides the criteria that are built in."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="criteria")
    name = models.CharField(max_length=60)
    description = models.TextField(help_text="What is good and what is bad, as the judge is told.")
    needs_passages = models.BooleanField(
        default=False, help_text="Whether it only applies where the assistant was given passages."
    )
    weight = models.FloatField(default=1, validators=[MinValueValidator(0.01), MaxValueValidator(100)])
    archived = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)

    objects = CriterionQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "criteria"
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="one_criterion_a_name")]

    def __str__(self) -> str:
        return self.name
