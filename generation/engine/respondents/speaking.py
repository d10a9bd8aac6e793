"""An assistant that answers in words, by one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datasets.schema import Message, Operation
from generation.engine import replies
from generation.engine.protocols import Brief, CallLog, Completion, ModifiedPrompt, Speaker, Turn


@dataclass(frozen=True, slots=True)
class Speaking:
    speaker: Speaker

    async def answer(
        self, prompt: ModifiedPrompt, messages: Sequence[Message], brief: Brief, calls: CallLog, operation: Operation
    ) -> tuple[Message, ...]:
        turns = [Turn("system", prompt.text), *(Turn(message.role, message.content) for message in messages)]
        request = self.speaker.request(operation, turns)
        index = len(messages)
        return (await calls.ask(self.speaker.model, request, _read, message=index, sources=prompt.sources),)


def _read(completion: Completion) -> Message:
    return Message(role="assistant", content=replies.text(completion), reasoning=completion.reasoning)
