"""From the bytes of a chat completion to a Completion. Plain dictionaries: validating costs more than the call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from generation.engine import replies
from generation.engine.errors import BadReply, TransientError
from generation.engine.protocols import ChatRequest, Completion

from .servers import Server
from .troubles import from_status, own_words

MOST_TOKENS = 100_000_000
"""No reply has more; the ledger can hold the sum of some."""
_REASONING = ("reasoning_content", "reasoning", "thinking")


class ProseInsteadOfJson(BadReply):
    """JSON was asked for, and what came does not even look like it."""


def read_json(content: bytes, server: Server, model: str) -> dict[str, Any]:
    """The body of an answer with status 200. Some gateways put their errors there too."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
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
        prompt, completed = _tokens(usage.get("prompt_tokens")), _tokens(usage.get("completion_tokens"))
        finish = choice.get("finish_reason")
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):
        raise TransientError("The server's reply is not a chat completion.") from None
    finish = finish if isinstance(finish, str) else ""
    # The name that was asked for, not the dated one that some servers answer with: prices and filters go by it.
    reply = Completion(text, model, prompt, completed, latency, finish, reasoning)
    try:
        _check(reply, message, request)
    except BadReply as error:
        error.prompt_tokens, error.completion_tokens, error.finish_reason = prompt, completed, finish
        raise
    return reply


def _tokens(count: Any) -> int:
    """A count of the server's, which may say anything."""
    return min(max(0, int(count or 0)), MOST_TOKENS)


def _check(reply: Completion, message: Mapping[str, Any], request: ChatRequest) -> None:
    if reply.finish_reason == "length":
        limit = f" of {request.max_tokens} tokens" if request.max_tokens else ""
        raise BadReply(f"The reply was cut at its limit{limit}. Allow more tokens.")
    if reply.finish_reason == "content_filter":
        raise BadReply("The server's content filter withheld the reply.")
    if refusal := message.get("refusal"):
        raise BadReply(f"The model refused: {str(refusal)[:300]}")
    if not reply.text:
        raise BadReply("The reply is empty.")
    if request.schema is not None:
        _check_json(reply)


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


def _check_json(reply: Completion) -> None:
    """Raises BadReply unless there is JSON in the reply. What it holds is for whoever asked to judge."""
    if "{" not in reply.text and "[" not in reply.text:
        raise ProseInsteadOfJson(f"The reply is not the JSON that was asked for: {replies.excerpt(reply.text)}")
    replies.json_value(reply)


def _clipped(content: bytes) -> str:
    return " ".join(content[:200].decode(errors="replace").split())
