"""Five personas from a text, and five more from a persona."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import AliasChoices, BaseModel, Field, model_validator

from generation.engine import replies
from generation.engine.errors import BadReply
from generation.engine.prompts import personas as words
from generation.engine.protocols import CallLog, Completion, PersonaSketch, Speaker, Turn

from .growing import BRANCHES

LONGEST_TEXT = 16_000
"""Characters of a document that are shown to the model; of a longer one, cuts from all over it."""
CUTS = 8
GAP = "\n\n[…]\n\n"
LONGEST_NAME, LONGEST_DESCRIPTION = 80, 2_000
"""In characters. A longer description is none: 40 words are asked for."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "personas": {
            "type": "array",
            "minItems": BRANCHES,
            "maxItems": BRANCHES,
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "description": {"type": "string"}},
                "required": ["name", "description"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["personas"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class PersonaWriter:
    """Asks `speaker` for personas. Both methods give exactly five that differ, or raise what the calls raise."""

    speaker: Speaker

    async def from_text(self, title: str, text: str, calls: CallLog) -> tuple[PersonaSketch, ...]:
        """People who would ask about `text`. DialogError when no reply had five."""
        return await self._ask(words.from_text(title, excerpt_of(text)), calls)

    async def from_persona(self, sketch: PersonaSketch, calls: CallLog) -> tuple[PersonaSketch, ...]:
        """People who have to do with the one that `sketch` describes. DialogError when no reply had five."""
        return await self._ask(words.from_persona(sketch), calls)

    async def _ask(self, turns: Sequence[Turn], calls: CallLog) -> tuple[PersonaSketch, ...]:
        request = self.speaker.request("persona", turns, schema=SCHEMA, schema_name="personas")
        return await calls.ask(self.speaker.model, request, read_personas)


class _Said(BaseModel):
    name: replies.Said = Field("", validation_alias=AliasChoices("name", "title", "persona_name"))
    description: replies.Said = Field(validation_alias=AliasChoices("description", "persona", "text"))


class _Reply(BaseModel):
    personas: list[_Said | replies.Said]

    @model_validator(mode="before")
    @classmethod
    def _out_of_a_bare_list(cls, value: Any) -> Any:
        return {"personas": value} if isinstance(value, list) else value


def read_personas(completion: Completion) -> tuple[PersonaSketch, ...]:
    """The first five personas of a reply that differ. BadReply when there are fewer."""
    found: dict[str, PersonaSketch] = {}
    for said in replies.structured(completion, _Reply).personas:
        sketch = _sketch(said)
        if 0 < len(sketch.description) <= LONGEST_DESCRIPTION:
            found.setdefault(sketch.description.casefold(), sketch)
    if len(found) < BRANCHES:
        raise BadReply(f"{len(found)} different personas came where {BRANCHES} were asked for.")
    return tuple(found.values())[:BRANCHES]


def _sketch(said: _Said | str) -> PersonaSketch:
    """On one line each. One without a name is called by how its description begins."""
    name, description = ("", said) if isinstance(said, str) else (said.name, said.description)
    description = " ".join(description.split())
    name = replies.excerpt(name or description.split(". ")[0], LONGEST_NAME).rstrip(".")
    return PersonaSketch(name=name, description=description)


def excerpt_of(text: str, limit: int = LONGEST_TEXT) -> str:
    """`text` itself, or cuts from all over it that have `limit` characters together."""
    if len(text) <= limit:
        return text
    size = limit // CUTS - len(GAP)
    starts = (round(cut * (len(text) - size) / (CUTS - 1)) for cut in range(CUTS))
    return GAP.join(_whole_words(text, start, start + size) for start in starts)


def _whole_words(text: str, start: int, end: int) -> str:
    """`text[start:end]` without the torn words at its edges."""
    piece = text[start:end]
    if start > 0 and not text[start - 1].isspace():
        piece = piece.partition(" ")[2] or piece
    if end < len(text) and not text[end].isspace():
        piece = piece.rpartition(" ")[0] or piece
    return piece.strip()
