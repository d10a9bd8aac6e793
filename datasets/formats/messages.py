"""`{"messages": [{"role": …, "content": …}], "tools": […]}`. Function arguments are objects, as TRL reads them."""

from __future__ import annotations

from datasets.schema import Dialog, Message, ToolCall

from .contract import Options, Row, Skip
from .said import said


def row(dialog: Dialog, options: Options) -> Row | Skip:
    what = said(dialog, options)
    if isinstance(what, Skip):
        return what
    names = {call.id: call.name for message in what.messages for call in message.tool_calls}
    messages = [_message(message, names, options) for message in what.messages]
    opening: list[Row] = [{"role": "system", "content": what.system}] if what.system else []
    return with_tools({"messages": [*opening, *messages]}, dialog)


def with_tools(row: Row, dialog: Dialog) -> Row:
    """With the functions that the assistant could call, where there are any."""
    tools = [{"type": "function", "function": tool.model_dump(mode="json")} for tool in dialog.tools]
    return row | {"tools": tools} if tools else row


def _message(message: Message, names: dict[str, str], options: Options) -> Row:
    shape: Row = {"role": message.role, "content": message.content}
    if options.reasoning and message.reasoning:
        shape["reasoning_content"] = message.reasoning
    if message.role == "tool":
        shape["name"] = names.get(message.tool_call_id, "")
    if message.tool_calls:
        shape["tool_calls"] = [called(call) for call in message.tool_calls]
    return shape


def called(call: ToolCall) -> Row:
    return {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}
