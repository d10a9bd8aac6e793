"""`{"messages": […], "tools": […]}` as the chat API of OpenAI has it: calls have ids, and arguments are a string of JSON."""

from __future__ import annotations

import json

from datasets.schema import Dialog, Message, ToolCall

from .contract import Options, Row, Skip
from .messages import with_tools
from .said import said


def row(dialog: Dialog, options: Options) -> Row | Skip:
    what = said(dialog, options)
    if isinstance(what, Skip):
        return what
    messages = [_message(message) for message in what.messages]
    opening: list[Row] = [{"role": "system", "content": what.system}] if what.system else []
    return with_tools({"messages": [*opening, *messages]}, dialog)


def _message(message: Message) -> Row:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.content}
    if not message.tool_calls:
        return {"role": message.role, "content": message.content}
    calls = [_call(call) for call in message.tool_calls]
    return {"role": message.role, "content": message.content or None, "tool_calls": calls}


def _call(call: ToolCall) -> Row:
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}
