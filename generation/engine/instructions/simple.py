"""The first message, written from the description of the user alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datasets.schema import Source
from generation.engine import prompts, replies
from generation.engine.errors import BadReply
from generation.engine.protocols import Brief, CallLog, Completion, Instruction, Speaker

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"instructions": {"type": "array", "items": {"type": "string"}}},
    "required": ["instructions"],
    "additionalProperties": False,
}

_KEYS = ("instructions", "instruction", "questions", "question", "message", "text")


@dataclass(frozen=True, slots=True)
class Simple:
    """Asks for a question that names no source. `template` is the writer's prompt, `correspondent` the user's role."""

    speaker: Speaker
    template: str = prompts.DEFAULT_INSTRUCTION
    correspondent: str = prompts.DEFAULT_CORRESPONDENT

    async def propose(self, brief: Brief, calls: CallLog) -> Instruction:
        return await self.write(brief, (), calls)

    async def write(self, brief: Brief, sources: Sequence[Source], calls: CallLog) -> Instruction:
        """The first message, written so that `sources` hold its answer."""
        turns = prompts.first_question(self.template, self.correspondent, brief.persona, sources, brief.seed)
        request = self.speaker.request("instruction", turns, schema=SCHEMA, schema_name="instructions")
        return await calls.ask(self.speaker.model, request, read_instruction, message=0)


def read_instruction(completion: Completion) -> Instruction:
    """The first message in a reply of the form {"instructions": ["…"]}, or of a form that models use in its place."""
    value = replies.json_value(completion)
    while not isinstance(value, str):
        value = _inner(value)
    said = replies.storable(value).strip()
    if not said:
        raise BadReply("The instruction writer gave an empty message.")
    return Instruction(said)


def _inner(value: Any) -> Any:
    if isinstance(value, dict):
        value = [value[key] for key in _KEYS if key in value]
    if isinstance(value, list) and value:
        return value[0]
    raise BadReply("The instruction writer gave no message.")
