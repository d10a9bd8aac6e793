"""Preference pairs that somebody brings along, as the library, TRL, LLaMA-Factory, Axolotl and OpenAI write them.

A row becomes the dialog that ends with the chosen answer; the other answers come along as further versions of it. Before
the answers stands a `prompt`, a text or messages, or whatever else the shape has in its place; in some, both sides are
whole conversations. An answer is a text, a message, messages, or an object with its score.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from datasets.schema import Dialog, Message

from .contract import PREFERENCE, REJECTED, Judged
from .entries import Wrong, read_tools
from .incoming_parts import Incoming, is_number, messages_of, share, text_in, trace_of, without
from .preference import NAMES, parted

PAIRS = "preference"
"""What an import calls this shape."""
Side = Literal["chosen", "rejected"]

_OPENAI = {"chosen": "preferred_output", "rejected": "non_preferred_output"}
_SPOKEN = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")
_ROLES = {name: role for role, name in NAMES.items()}
_LONGEST_LABEL = 60
_CUT = 100
"""After so many characters the library cuts answers where it lists them all."""


def is_pair(row: dict[str, Any]) -> bool:
    return {"chosen", "rejected"} <= row.keys() or set(_OPENAI.values()) <= row.keys()


@dataclass(frozen=True, slots=True)
class _Answer:
    messages: tuple[Message, ...]
    score: Any
    label: str


def read_pair(row: dict[str, Any]) -> Incoming:
    """Raises Wrong."""
    told = _renamed(row)
    before = _before(told)
    chosen, rejected = (_answer(told, side, before) for side in ("chosen", "rejected"))
    others = _others(told, before, chosen, rejected)
    first = _incoming(told, chosen, _left_over(row, told, bool(others)))
    second = _incoming(told, rejected, {}, REJECTED)
    if not parted(first.dialog, second.dialog):
        raise Wrong("Its chosen and its rejected side are no two different answers to the same question.")
    between = (_incoming(told, one, {}) for one in others)
    return Incoming(first.dialog, first.judged, first.label, (second, *between))


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    """A row of OpenAI's shape by the names of the others."""
    if not set(_OPENAI.values()) <= row.keys():
        return row
    asked = row["input"] if isinstance(row.get("input"), dict) else {}
    answers = {side: row[name] for side, name in _OPENAI.items()}
    return {"messages": asked.get("messages"), "tools": asked.get("tools")} | answers


# -- before the answers -------------------------------------------------------------------------------------------------


def _before(row: dict[str, Any]) -> tuple[Message, ...]:
    """All that was said before the answers; nothing where both sides are whole conversations."""
    prompt = row.get("prompt") or row.get("instruction")
    if isinstance(prompt, str):
        given = f"{prompt}\n{row['input']}" if isinstance(row.get("input"), str) and row["input"] else prompt
        return (*_opening(row), *_history(row), *_spoken(given))
    entries = prompt or row.get("messages") or row.get("conversations") or []
    if not isinstance(entries, list):
        raise Wrong("Its prompt is neither a text nor a list of messages.")
    return _messages(entries)


def _opening(row: dict[str, Any]) -> tuple[Message, ...]:
    """The system prompt, which the library's log has in the messages of each answer alone."""
    listed = row["chosen"].get("messages") if isinstance(row["chosen"], dict) else None
    first = listed[0] if isinstance(listed, list) and listed else None
    if not isinstance(first, dict) or first.get("role") != "system":
        return ()
    return (Message(role="system", content=text_in(first.get("content"))),)


def _spoken(text: str) -> tuple[Message, ...]:
    """The turns of a text like `Human: …`, `Assistant: …`, `Human: …`; any other text is one question."""
    opening, *turns = _SPOKEN.split(text)
    said = tuple(
        Message(role=_ROLES[name], content=content) for name, content in zip(turns[::2], turns[1::2], strict=True)
    )
    if len(said) < 2:
        return (Message(role="user", content=text),)
    return (*((Message(role="system", content=opening),) if opening.strip() else ()), *said)


def _history(row: dict[str, Any]) -> tuple[Message, ...]:
    """Turns before the last question: of the library's own log messages, of Alpaca's rows pairs of texts."""
    shared, pairs = row.get("shared_prefix"), row.get("history")
    if isinstance(shared, list):
        return _messages(shared)
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        return ()
    return tuple(
        Message(role=role, content=text_in(said))
        for pair in pairs
        for role, said in zip(("user", "assistant"), pair, strict=True)
    )


def _messages(entries: list[Any]) -> tuple[Message, ...]:
    if not entries:
        return ()
    by_value = isinstance(entries[0], dict) and "from" in entries[0]
    return messages_of(entries, "from" if by_value else "role", "value" if by_value else "content")


# -- the answers --------------------------------------------------------------------------------------------------------


def _answer(row: dict[str, Any], side: Side, before: tuple[Message, ...]) -> _Answer:
    said = row[side]
    told = said if isinstance(said, dict) else {}
    score = told.get("score", row.get(f"{side}_score", row.get(f"score_{side}")))
    messages = _ended(before, _said(said, alone=not before))
    if len(messages) < 2 or messages[0].role == "assistant":
        raise Wrong("It has no question before its answers: write it as its “prompt”.")
    if not _text(messages).strip() and not messages[-1].tool_calls:
        raise Wrong(f"Its {side} answer is empty.")
    return _Answer(messages, score, text_in(told.get("variation_label")) or _label_of(row, _text(messages)) or side)


def _said(said: Any, *, alone: bool) -> tuple[Message, ...]:
    """An answer, or the whole conversation that ends with it, as which a text is read that stands `alone`."""
    if isinstance(said, str):
        return _spoken(said) if alone else (Message(role="assistant", content=said),)
    if isinstance(said, list):
        return _messages(said)
    if not isinstance(said, dict):
        raise Wrong("Its answers are neither texts nor messages.")
    if "role" in said or "from" in said:
        return _messages([said])
    return (Message(role="assistant", content=text_in(said.get("content", said.get("response")))),)


def _ended(before: tuple[Message, ...], said: tuple[Message, ...]) -> tuple[Message, ...]:
    """The whole conversation. The library asks the last question of several turns twice, where it is asked once here."""
    whole = said if said and said[0].role in ("system", "user") else (*before, *said)
    return tuple(
        message for n, message in enumerate(whole) if message.role != "user" or n == 0 or message != whole[n - 1]
    )


def _text(messages: tuple[Message, ...]) -> str:
    return messages[-1].content


def _completions(row: dict[str, Any]) -> list[dict[str, Any]]:
    listed = row.get("completions")
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _label_of(row: dict[str, Any], text: str) -> str:
    """What a list of all answers calls this one."""
    listed = (one for one in _completions(row) if one.get("response") in (text, text[:_CUT]))
    return next((text_in(one.get("label")) for one in listed), "")


def _others(row: dict[str, Any], before: tuple[Message, ...], *pair: _Answer) -> list[_Answer]:
    """Further answers, if the list of all is of whole texts, as that of the library is not."""
    texts, known = {text_in(one.get("response")) for one in _completions(row)}, {_text(one.messages) for one in pair}
    if not known <= texts:
        return []
    return [
        _Answer(
            (*before, Message(role="assistant", content=one["response"])), one.get("score"), text_in(one.get("label"))
        )
        for one in _completions(row)
        if text_in(one.get("response")).strip() and one["response"] not in known
    ]


# -- put together -------------------------------------------------------------------------------------------------------


def _incoming(row: dict[str, Any], answer: _Answer, left: dict[str, Any], grade: str = "") -> Incoming:
    metadata = row["metadata"] if isinstance(row.get("metadata"), dict) else {}
    opening, *rest = answer.messages
    prompt, messages = (opening.content, tuple(rest)) if opening.role == "system" else ("", answer.messages)
    beside = {**metadata, **row}
    dialog = Dialog(
        messages=messages,
        system_prompt=prompt or text_in(row.get("system")),
        persona=text_in(beside.get("persona")),
        tools=read_tools(row.get("tools")) or (),
        trace=trace_of(messages, beside | {"metadata": metadata}),
        extra={"row": {"set": left}} if left else {},
    )
    score = share(answer.score)
    judged = Judged(PREFERENCE, score, grade) if grade or score is not None else None
    return Incoming(dialog, judged, answer.label[:_LONGEST_LABEL])


def _left_over(row: dict[str, Any], told: dict[str, Any], listed: bool) -> dict[str, Any]:
    """What a row says besides; scores too, where they are none from 0 to 1."""
    understood = {"prompt", "instruction", "input", "messages", "conversations", "history", "shared_prefix", "system",
                  "chosen", "rejected", *_OPENAI.values()}  # fmt: skip
    tools = set() if read_tools(told.get("tools")) is None else {"tools"}
    answers = {"completions"} if listed else set()
    return without(row, understood | _scores(told) | tools | answers) | _unusual_scores(told)


def _scores(row: dict[str, Any]) -> set[str]:
    names = (name for side in ("chosen", "rejected") for name in (f"{side}_score", f"score_{side}"))
    return {name for name in names if share(row.get(name)) is not None}


def _unusual_scores(row: dict[str, Any]) -> dict[str, Any]:
    sides: Iterable[tuple[str, Any]] = ((side, row[side]) for side in ("chosen", "rejected"))
    told = {f"{side}_score": said.get("score") for side, said in sides if isinstance(said, dict)}
    return {name: score for name, score in told.items() if is_number(score) and share(score) is None}
