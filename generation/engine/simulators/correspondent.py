"""A model that plays the user: it knows its role, its persona and all that was said, and never sees a passage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datasets.schema import Message
from generation.engine import prompts, replies
from generation.engine.protocols import Brief, CallLog, Speaker


@dataclass(frozen=True, slots=True)
class Correspondent:
    speaker: Speaker
    prompt: str = prompts.DEFAULT_CORRESPONDENT

    async def ask(self, brief: Brief, messages: Sequence[Message], calls: CallLog) -> str:
        turns = prompts.next_question(self.prompt, brief.persona, messages)
        request = self.speaker.request("question", turns)
        return await calls.ask(self.speaker.model, request, replies.message, message=len(messages))


async def write_correspondent_prompt(speaker: Speaker, respondent: str, calls: CallLog) -> str:
    """A correspondent prompt that suits the `respondent` prompt, by one call."""
    request = speaker.request("correspondent_prompt", prompts.correspondent_writer(respondent))
    return await calls.ask(speaker.model, request, lambda completion: replies.strip_tags(replies.text(completion)))
