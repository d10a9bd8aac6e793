"""One dialog, from its brief to its outcome: propose > retrieve > modify > converse > evaluate > improve."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from datasets.schema import Dialog, Message

from . import prompts
from .calls import Calls
from .errors import DialogError, EngineError, FatalError, OutOfCalls, TransientError
from .judging import reaches
from .openings import Anything
from .prompts.improving import again
from .protocols import (
    Attempt,
    Brief,
    Evaluator,
    Failed,
    FailureKind,
    InstructionGenerator,
    Made,
    ModifiedPrompt,
    Moment,
    Openings,
    Outcome,
    PromptModifier,
    Respondent,
    Simulator,
    TurnHooks,
    Verdict,
)

log = logging.getLogger(__name__)

PROPOSALS = 3
"""How often first questions are asked for while all that come are near-duplicates."""


@dataclass(frozen=True, slots=True)
class Improvement:
    """When and how often a judged dialog is tried again."""

    attempts: int = 2
    """At most so many, after the first."""
    below: float = 0.72
    """Overall scores under this are tried again."""


@dataclass(frozen=True, slots=True)
class Want:
    """What an attempt is to do better: `feedback` in words, and the answer that the first new one replaces."""

    feedback: str
    rejected: str = ""


@dataclass(frozen=True, slots=True)
class DialogMaker:
    """The components of a run. One maker makes any number of dialogs at once: it keeps nothing between them."""

    instructions: InstructionGenerator
    simulator: Simulator
    respondent: Respondent
    prompt: str
    """The respondent's own prompt."""
    modifier: PromptModifier
    every_answer: bool = True
    """Whether the prompt is modified before every answer, or once a dialog by its first message."""
    evaluator: Evaluator | None = None
    improvement: Improvement | None = None
    openings: Openings = field(default_factory=Anything)
    hooks: TurnHooks | None = None

    async def make(self, brief: Brief) -> Outcome:
        """Never raises but for cancellation: what goes wrong is an outcome, with the calls that it cost."""
        calls = Calls(brief.seed)
        try:
            attempts = await self._attempts(brief, calls)
        except Exception as error:
            return failure(error, calls)
        return Made(tuple(attempts), calls.paid)

    async def _attempts(self, brief: Brief, calls: Calls) -> list[Attempt]:
        if brief.turns < 1:
            raise DialogError("A conversation needs at least one turn.")
        messages = await self.converse(brief, await self.open(brief, calls), calls)
        attempts = [await self.judged(brief, Attempt(self.dialog(brief, messages, calls)), calls)]
        kept = [calls]
        while self._wants_better(attempts):
            parent = Made(tuple(attempts)).best
            try:
                attempt, record = await self._better(brief, attempts[parent], kept[parent], len(attempts))
            except FatalError:
                raise
            except EngineError as error:
                log.info("An attempt to improve a dialog was given up: %s", error)
                break
            attempts.append(replace(attempt, parent=parent))
            kept.append(record)
        return attempts

    def _wants_better(self, attempts: Sequence[Attempt]) -> bool:
        if self.improvement is None or len(attempts) > self.improvement.attempts:
            return False
        latest, best = attempts[-1].overall, attempts[Made(tuple(attempts)).best].overall
        return latest is not None and best is not None and not reaches(best, self.improvement.below)

    async def _better(self, brief: Brief, parent: Attempt, calls: Calls, number: int) -> tuple[Attempt, Calls]:
        """Another attempt at `parent`, from its first bad answer on, told what its judge said."""
        assert parent.verdict is not None
        kept = kept_before(parent.dialog, parent.verdict.first_bad)
        record = calls.fork(kept, number)
        return await self.improve(brief, parent.dialog, kept, parent.verdict.feedback, record), record

    # -- the steps of a dialog, for makers of other things too --------------------------------------------------------

    async def open(self, brief: Brief, calls: Calls) -> tuple[Message, ...]:
        """The user's first message: the one that is written already, or one that the run does not have yet."""
        opening = brief.opening or await self._propose(brief, calls)
        messages = (Message(role="user", content=opening),)
        if self.hooks:
            await self.hooks.after_question(Moment(brief, messages, ""))
        return messages

    async def _propose(self, brief: Brief, calls: Calls) -> str:
        avoid: tuple[str, ...] = ()
        for _ in range(PROPOSALS):
            proposed = await self.instructions.propose(replace(brief, avoid=avoid), calls)
            texts = [instruction.text for instruction in proposed]
            if (opening := await self.openings.admit(brief, texts)) is not None:
                return opening
            avoid += tuple(texts)
        raise DialogError(
            f"The first questions of {PROPOSALS} tries were near-duplicates of others in this run: "
            "its documents may have little more to ask about."
        )

    async def converse(
        self, brief: Brief, messages: Sequence[Message], calls: Calls, want: Want | None = None
    ) -> tuple[Message, ...]:
        """`messages`, which end with the user's, carried on to `brief.turns` questions and answers."""
        said = list(messages)
        modified: ModifiedPrompt | None = None
        while True:
            if modified is None or self.every_answer:
                query = said[-1] if self.every_answer else said[0]
                modified = await self.modifier.modify(self.prompt, brief, query.content)
            said += await self.answer(brief, modified, said, calls, want)
            if sum(message.role == "user" for message in said) >= brief.turns:
                return tuple(said)
            said.append(await self.question(brief, said, modified, calls))
            want = Want(want.feedback) if want else None

    async def answer(
        self, brief: Brief, modified: ModifiedPrompt, said: Sequence[Message], calls: Calls, want: Want | None = None
    ) -> tuple[Message, ...]:
        prompt = again(modified, want.feedback, want.rejected) if want else modified
        if self.hooks:
            await self.hooks.before_answer(Moment(brief, tuple(said), prompt.text))
        answer = await self.respondent.answer(prompt, said, brief, calls, "improve" if want else "answer")
        if self.hooks:
            await self.hooks.after_answer(Moment(brief, (*said, *answer), prompt.text))
        return answer

    async def question(self, brief: Brief, said: Sequence[Message], modified: ModifiedPrompt, calls: Calls) -> Message:
        if self.hooks:
            await self.hooks.before_question(Moment(brief, tuple(said), modified.text))
        question = Message(role="user", content=await self.simulator.ask(brief, said, calls))
        if self.hooks:
            await self.hooks.after_question(Moment(brief, (*said, question), modified.text))
        return question

    async def improve(self, brief: Brief, dialog: Dialog, kept: int, feedback: str, calls: Calls) -> Attempt:
        """`dialog` made anew after its first `kept` messages. `calls` must have been forked there."""
        rejected = dialog.messages[kept].content if kept < len(dialog.messages) else ""
        messages = await self.converse(brief, dialog.messages[:kept], calls, Want(feedback, rejected))
        attempt = Attempt(self.dialog(brief, messages, calls), origin="improved")
        return await self.judged(brief, attempt, calls)

    async def judged(self, brief: Brief, attempt: Attempt, calls: Calls) -> Attempt:
        """With the verdict of the evaluator, if there is one, and its calls in the trace."""
        if self.evaluator is None:
            return attempt
        verdict = await self._judge(self.evaluator, attempt.dialog, brief, calls)
        return replace(attempt, dialog=attempt.dialog.model_copy(update={"trace": calls.trace}), verdict=verdict)

    async def _judge(self, evaluator: Evaluator, dialog: Dialog, brief: Brief, calls: Calls) -> Verdict:
        """A judge that fails costs its verdict, not the dialog; but what stops the run stops it here too."""
        try:
            return await evaluator.judge(dialog, brief, calls)
        except FatalError:
            raise
        except EngineError as error:
            return Verdict(evaluator.name, "", (), None, error=str(error))

    def dialog(self, brief: Brief, messages: tuple[Message, ...], calls: Calls) -> Dialog:
        return Dialog(
            messages=messages,
            system_prompt=prompts.ungrounded(self.prompt),
            persona=(brief.persona.description or brief.persona.name) if brief.persona else "",
            trace=calls.trace,
            tools=brief.tools,
        )


def kept_before(dialog: Dialog, bad: int | None) -> int:
    """How many messages can stay when message number `bad` is to be mended: up to the question before it.

    The first question alone where no message is named.
    """
    before = dialog.messages[: bad or 0]
    return max((index + 1 for index, message in enumerate(before) if message.role == "user"), default=1)


def failure(error: Exception, calls: Calls | None = None) -> Failed:
    """An error as an outcome. One that the engine did not raise itself is a defect somewhere, so it is logged."""
    steps = calls.paid if calls else ()
    if isinstance(error, OutOfCalls):
        return Failed("transient", str(error), steps, error.retry_after)
    if isinstance(error, EngineError):
        return Failed(_kind(error), str(error), steps)
    log.error("A dialog broke on an unexpected error", exc_info=error)
    return Failed("dialog", f"{type(error).__name__}: {error}", steps)


def _kind(error: EngineError) -> FailureKind:
    if isinstance(error, FatalError):
        return "fatal"
    return "transient" if isinstance(error, TransientError) else "dialog"
