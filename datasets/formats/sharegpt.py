"""`{"conversations": [{"from": "human", "value": …}, {"from": "gpt", "value": …}], "system": …, "tools": …}`.

LLaMA-Factory wants humans and observations in odd places, answers and function calls in even ones. So calls that were
made together are one turn, a list, and so are their results. The functions are a string of JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from datasets.schema import Dialog, Message

from .contract import Options, Row, Skip
from .said import said

SPEAKERS = {"user": "human", "assistant": "gpt", "tool": "observation"}


def row(dialog: Dialog, options: Options) -> Row | Skip:
    what = said(dialog, options)
    if isinstance(what, Skip):
        return what
    if any(message.tool_calls and message.content.strip() for message in what.messages):
        return Skip("One of its answers both speaks and calls a function: ShareGPT holds one or the other.")
    turns = list(_turns(what.messages))
    if any((turn["from"] in ("human", "observation")) == (place % 2 == 1) for place, turn in enumerate(turns)):
        return Skip("Its speakers do not take turns as ShareGPT wants.")
    row: Row = {"conversations": turns}
    if what.system:
        row["system"] = what.system
    if dialog.tools:
        row["tools"] = _json([tool.model_dump(mode="json") for tool in dialog.tools])
    return row


def _turns(messages: Sequence[Message]) -> Iterator[Row]:
    for role, group in groupby(messages, key=lambda message: message.role):
        together = list(group)
        if role == "tool" and len(together) > 1:
            yield {"from": "observation", "value": _json([_value(message.content) for message in together])}
        else:
            yield from (_turn(message) for message in together)


def _turn(message: Message) -> Row:
    if not message.tool_calls:
        return {"from": SPEAKERS[message.role], "value": message.content}
    calls = [{"name": call.name, "arguments": call.arguments} for call in message.tool_calls]
    return {"from": "function_call", "value": _json(calls[0] if len(calls) == 1 else calls)}


def _value(content: str) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
