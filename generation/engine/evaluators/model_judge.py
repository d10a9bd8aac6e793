"""A model that scores a finished dialog against its passages. A judgement that fails is no judgement."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Annotated, Any

from pydantic import BaseModel, Field

from datasets.schema import Dialog, Score
from generation.engine import replies
from generation.engine.errors import BadReply
from generation.engine.prompts import judging
from generation.engine.protocols import Brief, CallLog, Completion, Speaker, Verdict

from .criteria import BUILT_IN, Criterion, all_passages

NO_PASSAGES = "No passages were given to the assistant."
_PLAIN = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Mark(BaseModel):
    """What the judge says of one criterion."""

    score: Annotated[float, Field(ge=0, le=1)]
    feedback: replies.Said = ""


class Judged(BaseModel):
    """A judge's whole reply. What it scores unasked may be anything."""

    scores: dict[str, Annotated[Mark | Any, Field(union_mode="left_to_right")]]
    first_bad: int | str | None
    feedback: replies.Said = ""


@dataclass(frozen=True, slots=True)
class ModelJudge:
    """One structured call for all criteria, which also names the first message to be mended and says how.

    Scores out of range, criteria left out and numbers of no assistant's message are asked for again. `overall` is the
    mean of the criteria that apply.
    """

    speaker: Speaker
    criteria: tuple[Criterion, ...] = tuple(BUILT_IN.values())
    name: str = "model_judge"

    async def judge(self, dialog: Dialog, brief: Brief, calls: CallLog) -> Verdict:
        """Raises EngineError when no usable judgement came in all tries."""
        sources = all_passages(dialog)
        asked = {key: one for key, one in keyed(self.criteria).items() if sources or not one.needs_passages}
        if not asked:
            return Verdict(self.name, "", self._scores({}), None)
        answers = [index for index, message in enumerate(dialog.messages) if message.role == "assistant"]
        request = self.speaker.request(
            "judge",
            judging.judge(dialog, sources, {key: _described(key, one) for key, one in asked.items()}),
            schema=schema(asked, answers),
            schema_name="judgement",
        )
        return await calls.ask(self.speaker.model, request, lambda reply: self._read(reply, asked, answers))

    def _read(self, completion: Completion, asked: Mapping[str, Criterion], answers: Collection[int]) -> Verdict:
        judged = replies.structured(completion, Judged)
        marks = {one: mark for key, one in asked.items() if isinstance(mark := judged.scores.get(key), Mark)}
        if missing := [one.name for one in asked.values() if one not in marks]:
            raise BadReply(f"The judge gave no score from 0 to 1 for: {', '.join(missing)}.")
        scores = self._scores(marks)
        overall = fmean(score.value for score in scores if score.value is not None)
        first_bad = _index(judged.first_bad, answers)
        return Verdict(self.name, completion.model, scores, overall, judged.feedback, first_bad=first_bad)

    def _scores(self, marks: Mapping[Criterion, Mark]) -> tuple[Score, ...]:
        return tuple(
            Score(criterion=one.name, value=marks[one].score, feedback=marks[one].feedback)
            if one in marks
            else Score(criterion=one.name, value=None, feedback=NO_PASSAGES)
            for one in self.criteria
        )


def keyed(criteria: Sequence[Criterion]) -> dict[str, Criterion]:
    """Criteria by the keys that JSON names them by: their names where these are plain enough, else numbers."""
    return {one.name if _PLAIN.fullmatch(one.name) else f"criterion-{n}": one for n, one in enumerate(criteria, 1)}


def _described(key: str, criterion: Criterion) -> str:
    return criterion.description if key == criterion.name else f"“{criterion.name}”. {criterion.description}"


def schema(keys: Collection[str], answers: Collection[int]) -> dict[str, Any]:
    """The JSON schema of a judgement. Numbers of messages are text: not every server can be held to a list of numbers."""
    numbers = [judging.NONE, *(str(index + 1) for index in answers)]
    mark = {"feedback": {"type": "string"}, "score": {"type": "number", "minimum": 0, "maximum": 1}}
    return _object(
        {
            "scores": _object({key: _object(mark) for key in keys}),
            "first_bad": {"type": "string", "enum": numbers},
            "feedback": {"type": "string"},
        }
    )


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _index(said: int | str | None, answers: Collection[int]) -> int | None:
    """Which message was named by its number, which counts from 1."""
    word = str(said or judging.NONE).strip().lower()
    if word in (judging.NONE, "null"):
        return None
    index = int(word) - 1 if word.isdecimal() else -1
    if index not in answers:
        raise BadReply(f"The judge named message {replies.excerpt(word, 40)}, which is none of the assistant's.")
    return index
