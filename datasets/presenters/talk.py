"""A dialog as a page shows it: what was said, by whom, and from which sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from datasets.presenters.cells import WHOLE, Cell, cell_of, compact, parsed, pretty
from datasets.schema import Dialog, Message, Source, Step, ToolCall, ToolSpec, Trace


@dataclass(frozen=True)
class Reference:
    """A source, and the corpus in which its document still is; None when it is gone."""

    source: Source
    corpus: int | None


@dataclass(frozen=True)
class Use:
    """A call of a function, with the message that holds its result; None where none came."""

    call: ToolCall
    answered: Message | None

    @property
    def arguments(self) -> str:
        return pretty(self.call.arguments)

    @property
    def in_short(self) -> str:
        return ", ".join(f"{name}: {compact(value)}" for name, value in self.call.arguments.items())

    @property
    def result(self) -> str:
        """Set out in lines where it is JSON."""
        return laid_out(self.answered.content) if self.answered else ""

    @property
    def result_in_short(self) -> str:
        return " ".join(self.answered.content.split()) if self.answered else ""


@dataclass(frozen=True)
class Utterance:
    """One message. `turn` counts the user's messages from 1; `answer` counts the assistant's answers in words.

    `fields` are the row of a structured generation, where the message holds one.
    """

    turn: int
    message: Message
    step: Step | None = None
    references: tuple[Reference, ...] = ()
    answer: int | None = None
    uses: tuple[Use, ...] = ()
    fields: tuple[tuple[str, Cell], ...] = ()

    @property
    def seconds(self) -> float:
        return self.step.latency_ms / 1000 if self.step else 0.0

    @property
    def laid_out(self) -> str:
        return laid_out(self.message.content)


def utterances(dialog: Dialog, corpora: Mapping[int, int]) -> Iterator[Utterance]:
    """Every message but the results of calls, which are shown with these.

    `corpora` gives the corpus of each document that still exists.
    """
    turn = answer = 0
    results = _results(dialog.messages)
    shown_with_calls = {id(message) for message in results.values()}
    for index, message in enumerate(dialog.messages):
        turn += message.role == "user"
        if id(message) in shown_with_calls:
            continue
        answers = message.role == "assistant" and bool(message.content or not message.tool_calls)
        answer += answers
        step = dialog.trace.written_by(index)
        references = tuple(Reference(one, corpora.get(one.document)) for one in (step.sources if step else ()))
        yield Utterance(
            turn=turn,
            message=message,
            step=step,
            references=references if answers else (),
            answer=answer if answers else None,
            uses=tuple(Use(call, results.get((index, place))) for place, call in enumerate(message.tool_calls)),
            fields=_fields(dialog, message),
        )


def _results(messages: Sequence[Message]) -> dict[tuple[int, int], Message]:
    """The messages that answer calls, by the index of the message that called and the place of the call in it.

    Ids may repeat from turn to turn, and imported results may have none: they answer the first call that waits.
    """
    waiting: list[tuple[int, int, str]] = []
    found: dict[tuple[int, int], Message] = {}
    for index, message in enumerate(messages):
        waiting += [(index, place, call.id) for place, call in enumerate(message.tool_calls)]
        if message.role == "tool":
            wanted = message.tool_call_id
            answers = next((one for one in waiting if not wanted or one[2] == wanted), None)
            if answers:
                waiting.remove(answers)
                found[answers[:2]] = message
    return found


def _fields(dialog: Dialog, message: Message) -> tuple[tuple[str, Cell], ...]:
    """In the order in which they were written, which the stored value has lost."""
    if not isinstance(dialog.output, dict) or message.role != "assistant":
        return ()
    said = parsed(message.content)
    return tuple((name, cell_of(value, WHOLE)) for name, value in said.items()) if said == dialog.output else ()


def laid_out(content: str) -> str:
    value = parsed(content)
    return pretty(value) if isinstance(value, dict | list) else content


@dataclass(frozen=True)
class ToolShown:
    """A function that the assistant could call, and how often it did."""

    tool: ToolSpec
    called: int

    @property
    def parameters(self) -> str:
        return pretty(self.tool.parameters)


def tools_of(dialog: Dialog) -> list[ToolShown]:
    called = Counter(call.name for message in dialog.messages for call in message.tool_calls)
    return [ToolShown(tool, called[tool.name]) for tool in dialog.tools]


def documents_of(dialog: Dialog) -> Collection[int]:
    """Ids of the documents that its answers were given."""
    return {source.document for step in dialog.trace.steps for source in step.sources}


@dataclass(frozen=True)
class CallShown:
    """One call of a trace, with its texts in place."""

    step: Step
    trace: Trace

    @property
    def request(self) -> list[tuple[str, str]]:
        return [(role, self.trace.texts[index]) for role, index in self.step.request]

    @property
    def reply(self) -> str:
        return self.trace.texts[self.step.reply]

    @property
    def seconds(self) -> float:
        return self.step.latency_ms / 1000


@dataclass(frozen=True)
class TraceShown:
    trace: Trace

    @cached_property
    def calls(self) -> list[CallShown]:
        """Of an imported dialog only the passages are known, and no call."""
        return [CallShown(step, self.trace) for step in self.trace.steps if step.request]

    @property
    def tokens(self) -> int:
        return sum(step.prompt_tokens + step.completion_tokens for step in self.trace.steps)
