"""From the bytes of a chat completion to a Completion. Plain dictionaries: validating costs more than the call."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from generation.engine.errors import TransientError
from generation.engine.protocols import ChatRequest, Completion

from .servers import Server
from .troubles import UnusableReply, from_status, own_words

_FENCE = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)
_REASONING = ("reasoning_content", "reasoning", "thinking")
_DECODER = json.JSONDecoder()


class ProseInsteadOfJson(UnusableReply):
    """JSON was asked for, and what came does not even look like it."""


def read_json(content: bytes, server: Server, model: str) -> dict[str, Any]:
    """The body of an answer with status 200. Some gateways put their errors there too."""
    try:
        data = json.loads(content)
    except ValueError:
        raise TransientError(f"The server's reply is not JSON: “{_clipped(content)}”") from None
    if not isinstance(data, dict):
        raise TransientError(f"The server's reply is not a JSON object: “{_clipped(content)}”")
    if error := data.get("error"):
        code = str(error.get("code") or "") if isinstance(error, Mapping) else ""
        status = int(code) if code.isdecimal() else 500
        raise from_status(status, own_words(error, server), code, model)
    return data


def completion(data: Mapping[str, Any], request: ChatRequest, model: str, latency: float) -> Completion:
    """Raises TransientError on another shape than a chat completion, BadReply on one that cannot be used."""
    try:
        choice = data["choices"][0]
        message = choice["message"]
        text, reasoning = _parts(message)
        usage = data.get("usage") or {}
        prompt, completed = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    except (KeyError, IndexError, TypeError, AttributeError):
        raise TransientError("The server's reply is not a chat completion.") from None
    finish = choice.get("finish_reason") or "stop"
    try:
        _check(text, finish, message, request)
        text = json_text(text, request.schema) if request.schema is not None else text
    except UnusableReply as error:
        error.prompt_tokens, error.completion_tokens = prompt, completed
        raise
    return Completion(text, data.get("model") or model, prompt, completed, latency, finish, reasoning)


def _check(text: str, finish: str, message: Mapping[str, Any], request: ChatRequest) -> None:
    if finish == "length":
        limit = f" of {request.max_tokens} tokens" if request.max_tokens else ""
        raise UnusableReply(f"The reply was cut at its limit{limit}. Allow more tokens.")
    if finish == "content_filter":
        raise UnusableReply("The server's content filter withheld the reply.")
    if refusal := message.get("refusal"):
        raise UnusableReply(f"The model refused: {str(refusal)[:300]}")
    if not text:
        raise UnusableReply("The reply is empty.")


def _parts(message: Mapping[str, Any]) -> tuple[str, str]:
    """Text and reasoning of a message, stripped."""
    content = message.get("content") or ""
    reasoning = next((found for name in _REASONING if isinstance(found := message.get(name), str) and found), "")
    if isinstance(content, list):
        text = "".join(part["text"] for part in content if part.get("type") == "text")
        reasoning = reasoning or "".join(_thoughts(part) for part in content if part.get("type") == "thinking")
        return text.strip(), reasoning.strip()
    if content.lstrip().startswith("<think>"):
        thought, _, content = content.lstrip().removeprefix("<think>").partition("</think>")
        reasoning = reasoning or thought
    return content.strip(), reasoning.strip()


def _thoughts(part: Mapping[str, Any]) -> str:
    thinking = part.get("thinking") or ""
    return thinking if isinstance(thinking, str) else "".join(piece.get("text", "") for piece in thinking)


def json_text(text: str, schema: Mapping[str, Any]) -> str:
    """The JSON object in a reply, as text, without a fence or words around it. Raises UnusableReply."""
    found = _FENCE.search(text)
    candidate = found.group(1) if found and not text.startswith("{") else text
    start = candidate.find("{")
    if start < 0:
        raise ProseInsteadOfJson(f"The reply is not the JSON that was asked for: “{text[:120]}”")
    try:
        value, end = _DECODER.raw_decode(candidate, start)
    except ValueError:
        raise UnusableReply(f"The reply is not valid JSON: “{text[:120]}”") from None
    if missing := [key for key in schema.get("required", ()) if key not in value]:
        raise UnusableReply(f"The reply's JSON lacks {', '.join(missing)}.")
    return candidate[start:end]


def _clipped(content: bytes) -> str:
    return " ".join(content[:200].decode(errors="replace").split())
