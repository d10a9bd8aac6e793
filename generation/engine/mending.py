"""One finished dialog made better: from where it goes wrong, told what is to be mended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field

from datasets.schema import Dialog, Source

from .calls import Calls
from .dialog import DialogMaker, failure
from .errors import DialogError
from .modifiers import Plain, WithContext
from .part import Part
from .protocols import Attempt, Brief, Made, ModelRole, ModifiedPrompt, Outcome, Verdict
from .recipe import ModelChoice


class Mending(Part):
    """What is asked of every conversation of an improvement."""

    instruction: Annotated[str, Field(max_length=5_000)] = ""
    """What is to be mended, in a person's words; empty is what the judge said last."""
    start: Literal["first_bad", "beginning", "turn"] = "first_bad"
    """From where on it is made anew: the answer that the judge named (the first one, where it named none), the first
    answer, or that of `turn`. What stands before is kept."""
    turn: Annotated[int, Field(ge=1, le=1_000)] = 1
    """The last one, in conversations that are shorter."""
    models: dict[ModelRole, ModelChoice] = {}
    """Who speaks. A role that is left out keeps the model of the run that made the conversation."""
    judge: bool = True
    """Whether proposals are judged, and conversations that nobody has judged yet."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4


@dataclass(frozen=True, slots=True)
class Remembered:
    """The passages of the brief, where it has any: for dialogs whose corpus cannot be asked again."""

    async def modify(self, prompt: str, brief: Brief, query: str) -> ModifiedPrompt:
        modifier = WithContext() if brief.contexts else Plain()
        return await modifier.modify(prompt, brief, query)


async def mend(maker: DialogMaker, brief: Brief, base: Dialog, known: Verdict | None, wanted: Mending) -> Outcome:
    """Two attempts: `base`, with a verdict only if it is judged now because none was `known`, and what is proposed.

    Never raises but for cancellation.
    """
    calls = Calls.after(base.trace, brief.seed)
    try:
        first = Attempt(base)
        if known is None and wanted.judge:
            first = await maker.judged(brief, first, calls)
        verdict = known or first.verdict
        kept = kept_of(base, wanted, verdict)
        better = await maker.improve(brief, base, kept, _said(wanted, verdict), calls.fork(kept, 1))
    except Exception as error:
        return failure(error, calls)
    return Made((first, replace(better, dialog=_like(base, better.dialog), parent=0)), calls.paid)


def kept_of(base: Dialog, wanted: Mending, verdict: Verdict | None) -> int:
    """How many messages stay. Raises DialogError when there is no question to answer."""
    questions = [number for number, message in enumerate(base.messages, 1) if message.role == "user"]
    if not questions:
        raise DialogError("It has no question that could be answered again.")
    if wanted.start == "turn":
        return questions[min(wanted.turn, len(questions)) - 1]
    bad = verdict.first_bad if verdict and wanted.start == "first_bad" else None
    return max((number for number in questions if number <= (bad or 0)), default=questions[0])


def _said(wanted: Mending, verdict: Verdict | None) -> str:
    """What the new answers are told: the instruction, or what the judge found wanting."""
    if said := wanted.instruction.strip():
        return said
    if verdict is None:
        raise DialogError("Nobody has judged it: write in an instruction what is to be better, or have it judged.")
    if verdict.overall is None:
        raise DialogError(f"Its judge gave no judgement: {verdict.error or 'none of the criteria apply'}.")
    marks = [f"{score.criterion}: {score.feedback}" for score in verdict.scores if score.value is not None]
    if said := verdict.feedback.strip() or "\n".join(marks):
        return said
    raise DialogError("Its judge found nothing wanting: write in an instruction what is to be better.")


def _like(base: Dialog, better: Dialog) -> Dialog:
    """What a new attempt does not change, as it was."""
    same = {"system_prompt": base.system_prompt, "persona": base.persona, "extra": base.extra}
    return better.model_copy(update=same)


def passages_of(dialog: Dialog, *, retrieved: bool) -> tuple[Source, ...]:
    """The passages behind a dialog, each once: those reserved for it, and on demand those `retrieved` as well."""
    found: dict[tuple[int, str], Source] = {}
    for source in (source for step in dialog.trace.steps for source in step.sources):
        if retrieved or source.score is None:
            found.setdefault((source.passage, source.text), source)
    return tuple(found.values())
