"""What one model of one server understands of the chat API, and how that is learnt from its refusals.

Servers differ in three ways that matter here: whether they can promise JSON of a schema, what they call the limit on the
reply's length, and which sampling parameters they take. A dialect is a value; a refusal leads to a humbler one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Literal

from generation.engine.protocols import ChatRequest

Structured = Literal["json_schema", "json_object", "prompt"]
LengthParameter = Literal["max_tokens", "max_completion_tokens"]
Message = dict[str, str]

_HUMBLER: dict[Structured, Structured] = {"json_schema": "json_object", "json_object": "prompt"}
_NAMES_OF_FORMAT = (
    "response_format",
    "response format",
    "json_schema",
    "json_object",
    "structured output",
    "response_schema",
)
_NOT_UNDERSTOOD = ("unsupported", "not support", "forbidden", "not permitted", "unrecognized", "unknown", "unexpected")
_OPTIONAL = ("temperature", "seed")


@dataclass(frozen=True, slots=True)
class Dialect:
    """`structured` is the best way to JSON that the model knows; `without` names parameters that it does not take."""

    structured: Structured = "json_schema"
    max_tokens_parameter: LengthParameter = "max_tokens"
    without: frozenset[str] = frozenset()

    def body(self, model: str, request: ChatRequest) -> dict[str, Any]:
        """The JSON body of a chat completion."""
        messages = [{"role": turn.role, "content": turn.content} for turn in request.turns]
        body: dict[str, Any] = {"model": model, "messages": messages}
        if request.temperature is not None and "temperature" not in self.without:
            body["temperature"] = request.temperature
        if request.seed is not None and "seed" not in self.without:
            body["seed"] = request.seed
        if request.max_tokens is not None and self.max_tokens_parameter not in self.without:
            body[self.max_tokens_parameter] = request.max_tokens
        if request.schema is not None:
            self._ask_for_json(body, request)
        return body

    def _ask_for_json(self, body: dict[str, Any], request: ChatRequest) -> None:
        if self.structured == "json_schema":
            form = {"name": request.schema_name, "schema": strict(request.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
            return
        if self.structured == "json_object":
            body["response_format"] = {"type": "json_object"}
        _explain_schema(body["messages"], request)

    def after_refusal(self, words: str, body: dict[str, Any]) -> Dialect | None:
        """The dialect to try next when the server refused `body` with `words`; None when it did not mean a parameter."""
        words = words.lower()
        if "response_format" in body and any(name in words for name in _NAMES_OF_FORMAT):
            return replace(self, structured=_HUMBLER[self.structured])
        if not any(sign in words for sign in _NOT_UNDERSTOOD):
            return None
        for name in (self.max_tokens_parameter, *_OPTIONAL):
            if name in body and name in words:
                return self._without(name)
        return None

    def _without(self, name: str) -> Dialect:
        without = self.without | {name}
        other: LengthParameter = "max_completion_tokens" if name == "max_tokens" else "max_tokens"
        if name in _OPTIONAL or other in self.without:
            return replace(self, without=without)
        return replace(self, without=without, max_tokens_parameter=other)

    def after_prose(self) -> Dialect:
        """The dialect to try next when the server took the format but answered in prose: it ignores formats."""
        return replace(self, structured="prompt")


def strict(schema: Any) -> Any:
    """The schema as strict structured outputs want it: every object closed, and every property required."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict_part(key, part) for key, part in schema.items() if key != "default"}
    if isinstance(made.get("properties"), dict):
        made |= {"additionalProperties": False, "required": list(made["properties"])}
    return made


def _strict_part(key: str, part: Any) -> Any:
    """What a keyword of a schema holds: schemas by names of the user's own, plain values, or a schema."""
    if key in ("properties", "$defs", "definitions") and isinstance(part, dict):
        return {name: strict(one) for name, one in part.items()}
    return part if key in ("enum", "const", "required", "examples") else strict(part)


def _explain_schema(messages: list[Message], request: ChatRequest) -> None:
    """Puts the schema in words into the system message, for servers that cannot be held to it."""
    words = (
        "Reply with one JSON object and nothing else: no introduction, no code fence. It must match this JSON schema:\n"
        + json.dumps(request.schema, ensure_ascii=False)
    )
    if messages and messages[0]["role"] == "system":
        messages[0]["content"] += "\n\n" + words
    else:
        messages.insert(0, {"role": "system", "content": words})
