"""What it will take to make a dialog better, reckoned from what it took to make it.

An answer that is made anew costs what the trace says that it cost, and the note of what is to be better besides. Where no
trace tells, its request is everything that was said before it, and its reply is as long as it is now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from datasets.schema import Dialog, Message

from . import prompts
from .errors import DialogError
from .estimate import CHARS_PER_TOKEN, MESSAGE_TOKENS, TYPICAL_REPLY
from .mending import Mending, kept_of, passages_of
from .prompts import improving
from .protocols import ModelRole, ModifiedPrompt, Verdict

CRITERIA_TOKENS = 450
"""What a judge is told besides the dialog and its passages."""
FEEDBACK = "x" * 400
"""Of usual length, where no instruction is given."""


@dataclass(frozen=True, slots=True)
class Load:
    calls: int = 0
    prompt: float = 0
    completion: float = 0

    def plus(self, other: Load) -> Load:
        return Load(self.calls + other.calls, self.prompt + other.prompt, self.completion + other.completion)


def expected(base: Dialog, wanted: Mending, known: Verdict | None) -> Mapping[ModelRole, Load]:
    """Calls and tokens of each role. One that has nothing to mend costs nothing."""
    try:
        kept = kept_of(base, wanted, known)
    except DialogError:
        return {}
    loads: dict[ModelRole, Load] = {}
    for role, load in _spoken(base, wanted, kept):
        loads[role] = loads.get(role, Load()).plus(load)
    if wanted.judge:
        each = Load(1, _judged(base), TYPICAL_REPLY["judge"])
        loads["judge"] = each if known else each.plus(each)
    return loads


def _spoken(base: Dialog, wanted: Mending, kept: int) -> Iterator[tuple[ModelRole, Load]]:
    for index in range(kept, len(base.messages)):
        step, role = base.trace.written_by(index), base.messages[index].role
        if step and step.prompt_tokens:
            load = Load(1, step.prompt_tokens, step.completion_tokens)
        else:
            before = _tokens(base.system_prompt) + sum(map(_length, base.messages[:index]))
            load = Load(1, before, _tokens(base.messages[index].content))
        if role == "assistant":
            load = load.plus(Load(0, _note(wanted, base.messages[index].content if index == kept else "")))
        yield "respondent" if role == "assistant" else "correspondent", load


def _note(wanted: Mending, rejected: str) -> float:
    return _tokens(improving.again(ModifiedPrompt(""), wanted.instruction or FEEDBACK, rejected).text)


def _judged(base: Dialog) -> float:
    passages = _tokens(prompts.context(passages_of(base, retrieved=True)))
    return CRITERIA_TOKENS + passages + sum(map(_length, base.messages))


def _length(message: Message) -> float:
    return _tokens(message.content) + MESSAGE_TOKENS


def _tokens(text: str) -> float:
    return len(text) / CHARS_PER_TOKEN
