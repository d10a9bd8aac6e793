"""`{"instruction": …, "input": …, "output": …}`, and the same with earlier turns as LLaMA-Factory reads it.

`input` is the text that the first question was written from, as the AfterImage library has it; empty where there is none.
"""

from __future__ import annotations

from datasets.schema import Dialog

from .contract import Options, Row, Skip
from .raw import instruction_context
from .said import said


def alpaca(dialog: Dialog, options: Options) -> Row | Skip:
    row = llama_factory(dialog, options)
    if isinstance(row, Skip):
        return row
    if row.pop("history"):
        return Skip("It has several turns, and Alpaca holds one question and one answer.")
    return row


def llama_factory(dialog: Dialog, options: Options) -> Row | Skip:
    what = said(dialog, options)
    if isinstance(what, Skip):
        return what
    if any(message.role == "tool" or message.tool_calls for message in what.messages):
        return Skip("It uses functions, and this format has no place for them.")
    texts = [message.content for message in what.messages]
    turns = [[question, answer] for question, answer in zip(texts[::2], texts[1::2], strict=True)]
    question, answer = turns.pop()
    row = {"instruction": question, "input": instruction_context(dialog) or "", "output": answer, "history": turns}
    return {**row, "system": what.system} if what.system else row
