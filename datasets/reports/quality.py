"""What judges said of many conversations."""

from __future__ import annotations

from dataclasses import dataclass, field

from datasets.schema import Score

from .bins import tenth, tenths
from .counting import BoundedCounter
from .findings import CriterionAverage, QualityFindings

NAMES = 100
"""Different criteria and grades that are counted: their names may come from a model."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The latest judgement of a conversation. `overall` is None where its judge gave none."""

    overall: float | None
    scores: tuple[Score, ...] = ()
    grade: str = ""


@dataclass
class CriterionTally:
    judged: int = 0
    total: float = 0.0
    not_applicable: int = 0

    def add(self, value: float | None) -> None:
        if value is None:
            self.not_applicable += 1
        else:
            self.judged, self.total = self.judged + 1, self.total + value

    def finding(self, name: str) -> CriterionAverage:
        average = self.total / self.judged if self.judged else None
        return CriterionAverage(criterion=name, average=average, judged=self.judged, not_applicable=self.not_applicable)


@dataclass
class QualityTally:
    failed: int = 0
    unjudged: int = 0
    total: float = 0.0
    scores: list[int] = field(default_factory=lambda: [0] * 10)
    grades: BoundedCounter[str] = field(default_factory=lambda: BoundedCounter(NAMES))
    criteria: dict[str, CriterionTally] = field(default_factory=dict)

    def add(self, judged: Judged | None) -> None:
        if judged is None:
            self.unjudged += 1
        elif judged.overall is None:
            self.failed += 1
        else:
            self.total += judged.overall
            self.scores[tenth(judged.overall)] += 1
            self._add_details(judged)

    def _add_details(self, judged: Judged) -> None:
        if judged.grade:
            self.grades.add(judged.grade)
        for score in judged.scores:
            if score.criterion in self.criteria or len(self.criteria) < NAMES:
                self.criteria.setdefault(score.criterion, CriterionTally()).add(score.value)

    def findings(self) -> QualityFindings:
        judged = sum(self.scores)
        return QualityFindings(
            judged=judged,
            failed=self.failed,
            unjudged=self.unjudged,
            average=self.total / judged if judged else None,
            scores=tenths(self.scores),
            criteria=tuple(tally.finding(name) for name, tally in self.criteria.items()),
            grades=self.grades.counts,
        )
