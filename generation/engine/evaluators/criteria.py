"""What a dialog is judged by, and the parts of a dialog that judges look at."""

from __future__ import annotations

from dataclasses import dataclass

from datasets.schema import Dialog, Source
from generation.engine.prompts import judging


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing that a model is asked to score. `description` says what is good and what is bad.

    A criterion that needs passages does not apply to a dialog in which the assistant was given none.
    """

    name: str
    description: str
    weight: float = 1.0
    needs_passages: bool = False


BUILT_IN: dict[str, Criterion] = {
    name: Criterion(name, description, needs_passages=name == "grounding")
    for name, description in judging.CRITERIA.items()
}


@dataclass(frozen=True, slots=True)
class Exchange:
    """A user's message and the answer to it, which is message number `index` of its dialog."""

    question: str
    answer: str
    index: int


def exchanges(dialog: Dialog) -> list[Exchange]:
    """What was asked and answered, in order. Of an answer that used tools, the last words count."""
    found: list[Exchange] = []
    question: str | None = None
    for index, message in enumerate(dialog.messages):
        if message.role == "user":
            question = message.content
        elif message.role == "assistant" and message.content.strip() and question is not None:
            if found and not any(one.role == "user" for one in dialog.messages[found[-1].index : index]):
                found.pop()
            found.append(Exchange(question, message.content, index))
    return found


def passages_before(dialog: Dialog, message: int) -> tuple[Source, ...]:
    """The passages that stood before the assistant when it wrote message number `message`."""
    step = dialog.trace.written_by(message)
    return step.sources if step else ()


def all_passages(dialog: Dialog) -> tuple[Source, ...]:
    """Every passage that the assistant was given in a dialog, once."""
    written = [step for step in dialog.trace.steps if step.message is not None]
    return tuple({(one.passage, one.text): one for step in written for one in step.sources}.values())
