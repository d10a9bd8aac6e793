"""One dialog, from its brief to its outcome: propose > retrieve > modify > converse > evaluate."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from datasets.schema import Dialog, Message

from . import prompts, replies
from .calls import Calls
from .errors import DialogError, EngineError, FatalError, TransientError
from .protocols import (
    Brief,
    Completion,
    Evaluator,
    Failed,
    FailureKind,
    InstructionGenerator,
    Made,
    ModifiedPrompt,
    Outcome,
    PromptModifier,
    Simulator,
    Speaker,
    Turn,
    Verdict,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DialogMaker:
    """The components of a run. One maker makes any number of dialogs at once: it keeps nothing between them."""

    instructions: InstructionGenerator
    simulator: Simulator
    respondent: Speaker
    prompt: str
    """The respondent's own prompt."""
    modifier: PromptModifier
    every_answer: bool = True
    """Whether the prompt is modified before every answer, or once a dialog by its first message."""
    evaluators: tuple[Evaluator, ...] = ()

    async def make(self, brief: Brief) -> Outcome:
        """Never raises but for cancellation: what goes wrong is an outcome, with the calls that it cost."""
        calls = Calls(brief.seed)
        try:
            dialog = self._dialog(brief, await self._converse(brief, calls), calls)
            verdicts = [await self._judge(evaluator, dialog, brief, calls) for evaluator in self.evaluators]
        except Exception as error:
            return failure(error, calls)
        if verdicts:
            dialog = dialog.model_copy(update={"trace": calls.trace})
        return Made(dialog, tuple(verdicts))

    async def _converse(self, brief: Brief, calls: Calls) -> tuple[Message, ...]:
        """`brief.turns` questions and answers in turn, the last word being the respondent's."""
        if brief.turns < 1:
            raise DialogError("A conversation needs at least one turn.")
        question = (await self.instructions.propose(brief, calls)).text
        modified = await self.modifier.modify(self.prompt, brief, question)
        messages = [Message(role="user", content=question)]
        messages.append(await self._answer(modified, messages, calls))
        while len(messages) < 2 * brief.turns:
            question = await self.simulator.ask(brief, messages, calls)
            messages.append(Message(role="user", content=question))
            if self.every_answer:
                modified = await self.modifier.modify(self.prompt, brief, question)
            messages.append(await self._answer(modified, messages, calls))
        return tuple(messages)

    async def _answer(self, modified: ModifiedPrompt, messages: Sequence[Message], calls: Calls) -> Message:
        turns = [Turn("system", modified.text), *(Turn(message.role, message.content) for message in messages)]
        request = self.respondent.request("answer", turns)
        return await calls.ask(
            self.respondent.model, request, _read_answer, message=len(messages), sources=modified.sources
        )

    async def _judge(self, evaluator: Evaluator, dialog: Dialog, brief: Brief, calls: Calls) -> Verdict:
        """A judge that fails costs its verdict, not the dialog; but what stops the run stops it here too."""
        try:
            return await evaluator.judge(dialog, brief, calls)
        except FatalError:
            raise
        except EngineError as error:
            return Verdict(evaluator.name, "", (), None, error=str(error))

    def _dialog(self, brief: Brief, messages: tuple[Message, ...], calls: Calls) -> Dialog:
        return Dialog(
            messages=messages,
            system_prompt=prompts.ungrounded(self.prompt),
            persona=brief.persona.name if brief.persona else "",
            trace=calls.trace,
        )


def failure(error: Exception, calls: Calls | None = None) -> Failed:
    """An error as an outcome. One that the engine did not raise itself is a defect somewhere, so it is logged."""
    steps = calls.steps if calls else ()
    if isinstance(error, EngineError):
        return Failed(_kind(error), str(error), steps)
    log.error("A dialog broke on an unexpected error", exc_info=error)
    return Failed("dialog", f"{type(error).__name__}: {error}", steps)


def _kind(error: EngineError) -> FailureKind:
    if isinstance(error, FatalError):
        return "fatal"
    return "transient" if isinstance(error, TransientError) else "dialog"


def _read_answer(completion: Completion) -> Message:
    return Message(role="assistant", content=replies.text(completion), reasoning=completion.reasoning)
