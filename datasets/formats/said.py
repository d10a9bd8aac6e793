"""A dialog made fit for training: what it says in the order that chat templates ask for, or why it cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from datasets.schema import Dialog, Message

from .contract import Options, Skip


@dataclass(frozen=True, slots=True)
class Said:
    """`system` is empty when there is none or none was asked for; `messages` are of the other roles."""

    system: str
    messages: tuple[Message, ...]


def said(dialog: Dialog, options: Options) -> Said | Skip:
    """A system message that opens the dialog counts as its system prompt, unless it has one of its own."""
    opening, rest = _opening(dialog.messages)
    joined = _join(rest)
    problem = _problem(joined)
    if problem:
        return Skip(problem)
    system = dialog.system_prompt.strip() or opening
    return Said(system if options.system_prompt else "", _identified(joined))


def _opening(messages: tuple[Message, ...]) -> tuple[str, tuple[Message, ...]]:
    if messages and messages[0].role == "system":
        return messages[0].content.strip(), messages[1:]
    return "", messages


def _join(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Plain messages of the same speaker in a row become one; calls of functions and their results stay apart."""
    joined: list[Message] = []
    for message in messages:
        if joined and _speaks_on(joined[-1], message):
            content = f"{joined[-1].content}\n\n{message.content}".strip()
            reasoning = f"{joined[-1].reasoning}\n\n{message.reasoning}".strip()
            joined[-1] = message.model_copy(update={"content": content, "reasoning": reasoning})
        else:
            joined.append(message)
    return tuple(joined)


def _speaks_on(last: Message, message: Message) -> bool:
    plain = not last.tool_calls and not message.tool_calls
    return plain and last.role == message.role and message.role in ("user", "assistant")


def _problem(messages: Sequence[Message]) -> str:
    if not messages:
        return "It has no messages."
    if any(message.role == "system" for message in messages):
        return "It has a system message in its middle."
    if messages[0].role != "user":
        return "It does not begin with a question."
    if messages[-1].role != "assistant" or messages[-1].tool_calls:
        return "It does not end with an answer."
    if any(not message.content.strip() and not message.tool_calls for message in messages if message.role != "tool"):
        return "One of its messages is empty."
    if any(message.tool_calls for message in messages) or any(message.role == "tool" for message in messages):
        return _problem_with_calls(messages)
    return ""


def _problem_with_calls(messages: Sequence[Message]) -> str:
    """Each call is answered at once, and nothing is answered that was not called for."""
    waiting = 0
    for message in messages:
        if message.role == "tool":
            waiting -= 1
            if waiting < 0:
                return "It has a function's result without its call."
        elif waiting:
            return "One of its function calls has no result."
        else:
            waiting = len(message.tool_calls)
    return ""


def _identified(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """With ids that name each call once; where those of the dialog do not, calls and results are numbered in order."""
    calls = [call.id for message in messages for call in message.tool_calls]
    results = [message.tool_call_id for message in messages if message.role == "tool"]
    if all(calls) and len(set(calls)) == len(calls) and sorted(calls) == sorted(results):
        return messages
    return tuple(_numbered(messages))


def _numbered(messages: Sequence[Message]) -> Iterator[Message]:
    called, answered = count(1), count(1)
    for message in messages:
        if message.role == "tool":
            message = message.model_copy(update={"tool_call_id": f"call_{next(answered)}"})
        numbered = (call.model_copy(update={"id": f"call_{next(called)}"}) for call in message.tool_calls)
        yield message.model_copy(update={"tool_calls": tuple(numbered)})
