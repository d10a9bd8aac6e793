"""A model that scores a finished dialog against its passages. A judgement that fails is no judgement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Annotated, Any

from pydantic import BaseModel, Field, create_model

from datasets.schema import Dialog, Score
from generation.engine import prompts, replies
from generation.engine.modifiers.with_retrieval import merge
from generation.engine.protocols import Brief, CallLog, Completion, Speaker, Verdict


class Mark(BaseModel):
    """What the judge says of one criterion."""

    score: Annotated[float, Field(ge=0, le=1)]
    feedback: replies.Said = ""


def _shape(criteria: Sequence[str]) -> type[BaseModel]:
    fields: dict[str, Any] = dict.fromkeys(criteria, (Mark, ...))
    return create_model("Judgement", **fields)


def _schema(criteria: Sequence[str]) -> dict[str, Any]:
    properties = {"feedback": {"type": "string"}, "score": {"type": "number", "minimum": 0, "maximum": 1}}
    return _object({name: _object(properties) for name in criteria})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_GROUNDED = tuple(prompts.CRITERIA)
_UNGROUNDED = tuple(name for name in _GROUNDED if name != "grounding")
_SHAPES = {criteria: _shape(criteria) for criteria in (_GROUNDED, _UNGROUNDED)}
_SCHEMAS = {criteria: _schema(criteria) for criteria in (_GROUNDED, _UNGROUNDED)}


@dataclass(frozen=True, slots=True)
class ModelJudge:
    """One structured call. `overall` is the mean of the criteria that apply; grounding needs passages to apply."""

    speaker: Speaker
    name: str = "model_judge"

    async def judge(self, dialog: Dialog, brief: Brief, calls: CallLog) -> Verdict:
        sources = merge(*(step.sources for step in dialog.trace.steps))
        criteria = _GROUNDED if sources else _UNGROUNDED
        request = self.speaker.request(
            "judge",
            prompts.judge(dialog, sources, criteria),
            schema=_SCHEMAS[criteria],
            schema_name="judgement",
        )
        return await calls.ask(self.speaker.model, request, lambda completion: self._read(completion, criteria))

    def _read(self, completion: Completion, criteria: tuple[str, ...]) -> Verdict:
        marks = dict(replies.structured(completion, _SHAPES[criteria]))
        scores = [Score(criterion=name, value=marks[name].score, feedback=marks[name].feedback) for name in criteria]
        if "grounding" not in criteria:
            scores.append(Score(criterion="grounding", value=None, feedback="No passages were given to the assistant."))
        overall = fmean(mark.score for mark in marks.values())
        return Verdict(self.name, completion.model, tuple(scores), overall)
