"""Several evaluators as one: their scores together, what they come to, and the grade that this means."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from datasets.schema import Dialog, Score
from generation.engine import replies
from generation.engine.errors import EngineError, FatalError
from generation.engine.judging import MODEL_CRITERIA, Aggregation, Grades, Judging
from generation.engine.protocols import Brief, CallLog, Embedder, Evaluator, Speaker, Verdict

from .criteria import BUILT_IN, Criterion
from .model_judge import ModelJudge
from .vector_judge import VectorJudge

LONGEST_MODEL = 120


@dataclass(frozen=True, slots=True)
class Panel:
    """Asks all `evaluators` at once. A verdict has an overall score and a grade only if none of them failed.

    `weights` are by criterion, or by evaluator for all of its criteria; 1 for those not named.
    """

    evaluators: tuple[Evaluator, ...]
    weights: Mapping[str, float] = field(default_factory=dict)
    aggregation: Aggregation = "mean"
    grades: Grades = field(default_factory=Grades)
    name: str = "judge"

    async def judge(self, dialog: Dialog, brief: Brief, calls: CallLog) -> Verdict:
        """Raises FatalError, and nothing else that an evaluator raises on purpose: that is the verdict's `error`."""
        # All are waited for, so that no call outlives the verdict and each stands in the trace.
        heard = await asyncio.gather(
            *(_ask(evaluator, dialog, brief, calls) for evaluator in self.evaluators), return_exceptions=True
        )
        for outcome in heard:
            if isinstance(outcome, BaseException):
                raise outcome
        return self._together([outcome for outcome in heard if isinstance(outcome, Verdict)])

    def _together(self, verdicts: Sequence[Verdict]) -> Verdict:
        weighed = [(score, self._weight(score, one)) for one in verdicts for score in _scores(one)]
        error = "; ".join(f"{one.evaluator.replace('_', ' ')}: {one.error}" for one in verdicts if one.error)
        overall = None if error else overall_of(weighed, self.aggregation)
        return Verdict(
            evaluator=self.name,
            model=replies.excerpt(", ".join(dict.fromkeys(one.model for one in verdicts if one.model)), LONGEST_MODEL),
            scores=tuple(score for score, _ in weighed),
            overall=overall,
            feedback="\n".join(one.feedback for one in verdicts if one.feedback),
            error=error,
            grade="" if overall is None else self.grades.of(overall),
            first_bad=min((one.first_bad for one in verdicts if one.first_bad is not None), default=None),
        )

    def _weight(self, score: Score, verdict: Verdict) -> float:
        return self.weights.get(score.criterion, self.weights.get(verdict.evaluator, 1.0))


async def _ask(evaluator: Evaluator, dialog: Dialog, brief: Brief, calls: CallLog) -> Verdict:
    try:
        verdict = await evaluator.judge(dialog, brief, calls)
    except FatalError:
        raise
    except EngineError as error:
        return Verdict(evaluator.name, "", (), None, error=str(error))
    return replace(verdict, evaluator=evaluator.name)


def _scores(verdict: Verdict) -> tuple[Score, ...]:
    """An evaluator that gives an overall score and nothing else is a criterion by itself."""
    if verdict.scores or verdict.overall is None:
        return verdict.scores
    return (Score(criterion=verdict.evaluator, value=verdict.overall, feedback=verdict.feedback),)


def overall_of(weighed: Sequence[tuple[Score, float]], aggregation: Aggregation) -> float | None:
    """What scores with their weights come to, over those that apply; None when none does."""
    counted = [(score.value, weight) for score, weight in weighed if score.value is not None]
    if not counted:
        return None
    values = [value for value, _ in counted]
    match aggregation:
        case "min":
            return min(values)
        case "weighted":
            return fmean(values, weights=[weight for _, weight in counted])
        case "mean":
            return fmean(values)


def assemble(
    judging: Judging,
    *,
    speaker: Speaker | None = None,
    own: Sequence[Criterion] = (),
    embedder: Embedder | None = None,
    embedding_model: str = "",
    others: Sequence[Evaluator] = (),
) -> Panel:
    """The panel that a recipe asks for, from its live parts.

    `own` are the project's criteria, `embedding_model` names the embedder in verdicts, `others` are the evaluators from outside in the order of the recipe's. Raises
    ValueError when a part that the recipe needs is missing.
    """
    evaluators: list[Evaluator] = []
    asked = [*(BUILT_IN[name] for name in MODEL_CRITERIA if name in judging.weights), *own]
    if asked:
        if speaker is None:
            raise ValueError("To judge by what a model says takes a model: choose an endpoint for the judge.")
        evaluators.append(ModelJudge(speaker, tuple(asked)))
    if judging.compared:
        if embedder is None:
            raise ValueError("To judge by embeddings takes an embedding model.")
        evaluators.append(VectorJudge(embedder, judging.compared, embedding_model))
    weights: dict[str, float] = {one.name: one.weight for one in own} | {**judging.weights}
    weights |= {other.name: said.weight for other, said in zip(others, judging.others, strict=True)}
    return Panel((*evaluators, *others), weights, judging.aggregation, judging.grades)
