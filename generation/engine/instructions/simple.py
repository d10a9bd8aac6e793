"""The first message, written from the description of the user alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


def _schema(questions: int) -> dict[str, Any]:
    if questions == 1:
        return SCHEMA
    messages = {"type": "array", "items": {"type": "string"}, "minItems": questions, "maxItems": questions}
    return SCHEMA | {"properties": {"instructions": messages}}


_KEYS = ("instructions", "instruction", "questions", "question", "message", "text")


@dataclass(frozen=True, slots=True)
class Simple:
    """Asks for a question that names no source. `template` is the writer's prompt, `correspondent` the user's role."""

    speaker: Speaker
    template: str = prompts.DEFAULT_INSTRUCTION
    correspondent: str = prompts.DEFAULT_CORRESPONDENT

    async def propose(self, brief: Brief, calls: CallLog) -> Sequence[Instruction]:
        return await self.write(brief, (), calls)

    async def write(self, brief: Brief, sources: Sequence[Source], calls: CallLog) -> Sequence[Instruction]:
        """First messages, written so that `sources` hold their answers."""
        turns = prompts.first_question(self.template, self.correspondent, brief, sources)
        request = self.speaker.request(
            "instruction", turns, schema=_schema(brief.questions), schema_name="instructions"
        )
        written = await calls.ask(self.speaker.model, request, read_instructions, message=0)
        return written[: brief.questions]


def read_instructions(completion: Completion) -> list[Instruction]:
    """The messages in a reply of the form {"instructions": ["…"]}, or of a form that models use in its place."""
    said = [replies.storable(text).strip() for text in _texts(replies.json_value(completion))]
    if not any(said):
        raise BadReply("The instruction writer gave no message, or an empty one.")
    return [Instruction(text) for text in said if text]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        yield from _texts([value[key] for key in _KEYS if key in value])
