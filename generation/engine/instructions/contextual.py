"""The first message, written from the passages that are reserved for the dialog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from generation.engine import prompts
from generation.engine.errors import DialogError
from generation.engine.protocols import Brief, CallLog, Instruction, Speaker

from .simple import Simple


@dataclass(frozen=True, slots=True)
class Contextual:
    """Asks for a question whose answer is in the brief's passages. A brief without any fails: nothing is made up."""

    speaker: Speaker
    template: str = prompts.DEFAULT_INSTRUCTION
    correspondent: str = prompts.DEFAULT_CORRESPONDENT

    async def propose(self, brief: Brief, calls: CallLog) -> Sequence[Instruction]:
        if not brief.contexts:
            raise DialogError("No passage is reserved for this conversation: its passages may have been deleted.")
        writer = Simple(self.speaker, self.template, self.correspondent)
        return await writer.write(brief, brief.contexts, calls)
