"""A dialog as a page shows it: what was said, by whom, and from which sources."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from datasets.schema import Dialog, Message, Source, Step, Trace


@dataclass(frozen=True)
class Reference:
    """A source, and the corpus in which its document still is; None when it is gone."""

    source: Source
    corpus: int | None


@dataclass(frozen=True)
class Utterance:
    """One message. `turn` counts the user's messages from 1; `answer` is None for all but the assistant's."""

    turn: int
    message: Message
    step: Step | None = None
    references: tuple[Reference, ...] = ()
    answer: int | None = None

    @property
    def seconds(self) -> float:
        return self.step.latency_ms / 1000 if self.step else 0.0


def utterances(dialog: Dialog, corpora: Mapping[int, int]) -> Iterator[Utterance]:
    """`corpora` gives the corpus of each document that still exists."""
    turn = answer = 0
    for index, message in enumerate(dialog.messages):
        turn += message.role == "user"
        answer += message.role == "assistant"
        step = dialog.trace.written_by(index)
        references = tuple(Reference(source, corpora.get(source.document)) for source in (step.sources if step else ()))
        yield Utterance(turn, message, step, references, answer if message.role == "assistant" else None)


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
