"""One message of a row that somebody brings along, in either way of writing it: role and content, or from and value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from datasets.schema import Message, Role, ToolCall, ToolSpec


class Wrong(ValueError):
    """What is wrong with a row, in a sentence."""


ROLES: dict[str, Role] = {
    "system": "system", "developer": "system", "user": "user", "human": "user", "assistant": "assistant",
    "gpt": "assistant", "chatgpt": "assistant", "model": "assistant", "bot": "assistant",
    "function_call": "assistant", "tool": "tool", "observation": "tool", "function": "tool",
    "function_response": "tool",
}  # fmt: skip
REASONING = ("reasoning_content", "reasoning", "thinking")
UNDERSTOOD = {"role", "from", "content", "value", "tool_calls", "tool_call_id", "function_call"}


def read_messages(entries: Sequence[Any], *, role_key: str, content_key: str) -> list[Message]:
    """Raises Wrong, with the number of the message that cannot be read."""
    messages: list[Message] = []
    for number, entry in enumerate(entries, 1):
        try:
            messages.append(_message(entry, role_key, content_key, messages))
        except Wrong as error:
            raise Wrong(f"Message {number} {error}") from error
    return messages


def left_over(entry: dict[str, Any], message: Message) -> dict[str, Any]:
    """What an entry says besides what is understood."""
    understood = UNDERSTOOD | ({"name"} if message.role == "tool" and message.tool_call_id else set())
    return {
        key: value
        for key, value in entry.items()
        if key not in understood and not (key in REASONING and value in (message.reasoning, None, ""))
    }


def _message(entry: Any, role_key: str, content_key: str, before: Sequence[Message]) -> Message:
    if not isinstance(entry, dict):
        raise Wrong("is no object.")
    said = entry.get(role_key)
    role = ROLES.get(said) if isinstance(said, str) else None
    if role is None:
        raise Wrong(f"has the {role_key} {json.dumps(said, ensure_ascii=False)[:60]}: nobody is called so.")
    if said == "function_call":
        return Message(role=role, content="", tool_calls=(_call(_parsed(entry.get(content_key)), _next_id(before)),))
    calls = tuple(_calls(entry, before)) if role == "assistant" else ()
    return Message(
        role=role,
        content=_text(entry.get(content_key), content_key, calls),
        reasoning=_reasoning(entry),
        tool_calls=calls,
        tool_call_id=_answered(entry, before) if role == "tool" else "",
    )


def _text(content: Any, key: str, calls: Sequence[ToolCall]) -> str:
    if isinstance(content, str):
        return content
    if content is None and calls:
        return ""
    if isinstance(content, list) and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in content
    ):
        return "\n".join(part["text"] for part in content)
    raise Wrong(f"has no text: write it as its “{key}”.")


def _reasoning(entry: dict[str, Any]) -> str:
    texts = (entry.get(key) for key in REASONING)
    return next((text for text in texts if isinstance(text, str) and text), "")


# -- functions ----------------------------------------------------------------------------------------------------------


def _calls(entry: dict[str, Any], before: Sequence[Message]) -> list[ToolCall]:
    said = entry.get("tool_calls") or ([entry["function_call"]] if entry.get("function_call") else [])
    if not isinstance(said, list):
        raise Wrong("has tool calls that are no list.")
    return [_call(call, _next_id(before, number)) for number, call in enumerate(said)]


def _call(call: Any, usual_id: str) -> ToolCall:
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise Wrong("has a tool call without a name.")
    arguments = function.get("arguments") or {}
    arguments = _parsed(arguments)
    if not isinstance(arguments, dict):
        raise Wrong(f"calls “{function['name'][:60]}” with arguments that are no JSON object.")
    return ToolCall(id=str(call.get("id") or usual_id), name=function["name"], arguments=arguments)


def _parsed(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Wrong("has a tool call that is not JSON.") from error


def _next_id(before: Sequence[Message], number: int = 0) -> str:
    return f"call_{1 + number + sum(len(message.tool_calls) for message in before)}"


def _answered(entry: dict[str, Any], before: Sequence[Message]) -> str:
    """The call that a result belongs to: the one that it names, or else the first of that name without a result."""
    if isinstance(entry.get("tool_call_id"), str):
        return str(entry["tool_call_id"])
    done = {message.tool_call_id for message in before}
    name = entry.get("name")
    waiting = [call for message in before for call in message.tool_calls if call.id not in done]
    return next((call.id for call in waiting if not name or call.name == name), "")


def read_tools(said: Any) -> tuple[ToolSpec, ...] | None:
    """A row's column of functions, a list or a list in a text; None if it is anything else."""
    try:
        described = json.loads(said) if isinstance(said, str) else said
        functions = [tool.get("function", tool) for tool in described]
        return tuple(
            ToolSpec(name=one["name"], description=one.get("description") or "", parameters=one.get("parameters") or {})
            for one in functions
        )
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
        return None
