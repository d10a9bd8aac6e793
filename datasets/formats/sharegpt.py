"""`{"conversations": [{"from": "human", "value": …}, {"from": "gpt", "value": …}], "system": …}`.

LLaMA-Factory wants humans and observations in odd places, answers and function calls in even ones.
"""

from __future__ import annotations

import json

from datasets.schema import Dialog, Message

from .contract import Options, Row, Skip
from .said import said

SPEAKERS = {"user": "human", "assistant": "gpt", "tool": "observation"}


def row(dialog: Dialog, options: Options) -> Row | Skip:
    what = said(dialog, options)
    if isinstance(what, Skip):
        return what
    if any(
        message.tool_calls and (message.content.strip() or len(message.tool_calls) > 1) for message in what.messages
    ):
        return Skip(
            "One of its answers both speaks and calls a function, or calls several: ShareGPT holds one or the other."
        )
    turns = [_turn(message) for message in what.messages]
    if any((turn["from"] in ("human", "observation")) == (place % 2 == 1) for place, turn in enumerate(turns)):
        return Skip("Its speakers do not take turns as ShareGPT wants.")
    return {"conversations": turns, "system": what.system} if what.system else {"conversations": turns}


def _turn(message: Message) -> Row:
    if not message.tool_calls:
        return {"from": SPEAKERS[message.role], "value": message.content}
    call = message.tool_calls[0]
    value = json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False)
    return {"from": "function_call", "value": value}
