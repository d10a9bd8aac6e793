"""Structured rows: an instruction, and the one JSON value that answers it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from datasets.schema import Dialog, Message, Operation
from datasets.text import clean_json

from . import forms, replies
from .calls import Calls
from .dialog import DialogMaker
from .errors import BadReply, DialogError
from .prompts.rows import fill_form
from .protocols import Brief, CallLog, Completion, ModifiedPrompt, Outcome, Speaker


@dataclass(frozen=True, slots=True)
class FormFilling:
    """A respondent that answers with JSON of the schema `form`. What does not fit it is asked for again."""

    speaker: Speaker
    form: Mapping[str, Any]

    async def answer(
        self, prompt: ModifiedPrompt, messages: Sequence[Message], brief: Brief, calls: CallLog, operation: Operation
    ) -> tuple[Message, ...]:
        request = self.speaker.request(
            "row" if operation == "answer" else operation,
            fill_form(prompt.text, messages),
            schema=forms.asked(self.form),
            schema_name="row",
        )
        read, index = partial(_read, self.form), len(messages)
        return (await calls.ask(self.speaker.model, request, read, message=index, sources=prompt.sources),)


def _read(form: Mapping[str, Any], completion: Completion) -> Message:
    value = forms.fitted(clean_json(replies.json_value(completion)), form)
    if wrong := forms.problem(value, form):
        raise BadReply(f"The row does not fit its schema: {wrong}")
    return Message(
        role="assistant", content=json.dumps(value, ensure_ascii=False, indent=2), reasoning=completion.reasoning
    )


class Nobody:
    """The simulated user of rows, who asks once and no more."""

    async def ask(self, brief: Brief, messages: Sequence[Message], calls: CallLog) -> str:
        raise DialogError("A row has one instruction and no further question.")


@dataclass(frozen=True, slots=True)
class RowMaker(DialogMaker):
    """Makes dialogs of one instruction and one row, which are judged and improved as any dialog.

    Its respondent is a `FormFilling`. The row stands in `Dialog.output`, and as text in the last message.
    """

    @classmethod
    def of(cls, dialogs: DialogMaker) -> RowMaker:
        """With the same components."""
        return cls(**{field.name: getattr(dialogs, field.name) for field in fields(dialogs)})

    async def make(self, brief: Brief) -> Outcome:
        return await DialogMaker.make(self, replace(brief, turns=1))

    def dialog(self, brief: Brief, messages: tuple[Message, ...], calls: Calls) -> Dialog:
        dialog = DialogMaker.dialog(self, brief, messages, calls)
        return dialog.model_copy(update={"output": json.loads(messages[-1].content)})
