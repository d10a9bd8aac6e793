"""Scores by counting words: what can honestly be said of a dialog without understanding it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any

from .reading import Passage, content

_MESSAGE = re.compile(r'<message from="(\w+)"(?: number="(\d+)")?[^>]*>(.*?)</message>', re.DOTALL)
_NUMBER = re.compile(r"\d[\d.,]*\d|\d")
_NOTHING = re.compile(r"no information|nothing\b.{0,20}\bon|can[’']t say", re.IGNORECASE)


WEAK = 0.4
"""Below this share an answer is named as one to be mended."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A score from 0 to 1 and what was counted for it."""

    score: float
    feedback: str


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the conversation that is judged. `number` is what the prompt calls it, if anything."""

    who: str
    number: str
    text: str


def _said(prompt: str) -> list[Said]:
    return [Said(who.lower(), number, text) for who, number, text in _MESSAGE.findall(prompt)]


def _known(passages: Sequence[Passage]) -> str:
    return " ".join(sentence.text for passage in passages for sentence in passage.sentences)


def marks(prompt: str, passages: Sequence[Passage]) -> dict[str, Mark]:
    """What can be counted of a conversation: `grounding`, `factuality` and `helpfulness`."""
    said, known = _said(prompt), _known(passages)
    answers = [one.text for one in said if one.who == "assistant"]
    return {
        "grounding": _grounding(answers, known),
        "factuality": _numbers(answers, known),
        "helpfulness": _helpfulness(said),
    }


def first_bad(prompt: str, passages: Sequence[Passage]) -> str:
    """The number of the first answer that takes up little of its question or, where there are passages, of them."""
    known = _known(passages)
    for question, reply in pairwise(_said(prompt)):
        if (question.who, reply.who) != ("user", "assistant"):
            continue
        share = _met(question.text, reply.text)
        if min(share, _grounding([reply.text], known).score if known else share) < WEAK:
            return reply.number
    return "none"


def _grounding(answers: Sequence[str], known: str) -> Mark:
    vocabulary = set(content(known))
    used = [word for text in answers for word in content(text)]
    share = sum(word in vocabulary for word in used) / len(used) if used else 0.0
    return Mark(round(share, 2), f"Counted offline: {share:.0%} of the assistant's words stand in the passages.")


def _numbers(answers: Sequence[str], known: str) -> Mark:
    there = set(_NUMBER.findall(known))
    # The numbers of a list of steps are its own.
    used = [number for text in answers for number in _NUMBER.findall(re.sub(r"(?m)^\d+\. ", "", text))]
    if not used:
        return Mark(0.8, "Counted offline: the assistant states no figures that could be checked.")
    share = sum(number in there for number in used) / len(used)
    return Mark(round(share, 2), f"Counted offline: {share:.0%} of the assistant's figures stand in the passages.")


def _helpfulness(said: Sequence[Said]) -> Mark:
    pairs = [
        (question.text, reply.text)
        for question, reply in pairwise(said)
        if (question.who, reply.who) == ("user", "assistant")
    ]
    if not pairs:
        return Mark(0.0, "Counted offline: there is no answer.")
    share = fmean(_met(question, reply) for question, reply in pairs)
    return Mark(round(share, 2), f"Counted offline: the answers take up {share:.0%} of what was asked, by its words.")


def _met(question: str, reply: str) -> float:
    asked, given = set(content(question)), set(content(reply))
    if _NOTHING.search(reply):
        return 0.2
    return len(asked & given) / len(asked) if asked else 0.5


def filled(
    schema: Mapping[str, Any],
    made: Mapping[str, Mark],
    bad: str = "",
    name: str = "",
    root: Mapping[str, Any] | None = None,
) -> Any:
    """A value of the schema: numbers are scores and texts are feedback, each by the nearest name that is known.

    `bad` is chosen where it is one of the schema's choices.
    """
    root = root or schema
    if "$ref" in schema:
        found: Any = root
        for key in schema["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        return filled(found, made, bad, name, root)
    if "anyOf" in schema:
        return filled(schema["anyOf"][0], made, bad, name, root)
    if "properties" in schema:
        parts = schema["properties"].items()
        return {key: filled(part, made, bad, key if key in made else name, root) for key, part in parts}
    return _leaf(schema, made.get(name) or _overall(made), bad)


def _overall(made: Mapping[str, Mark]) -> Mark:
    counted = " ".join(mark.feedback.partition(": ")[2] for mark in made.values())
    return Mark(round(fmean(mark.score for mark in made.values()), 2), f"Counted offline, by words: {counted}")


def _leaf(schema: Mapping[str, Any], mark: Mark, bad: str) -> Any:
    if "enum" in schema:
        return bad if bad in schema["enum"] else schema["enum"][0]
    low, high = schema.get("minimum", 0), schema.get("maximum", 1)
    match schema.get("type"):
        case "number":
            return round(low + mark.score * (high - low), 2)
        case "integer":
            return round(low + mark.score * (high - low))
        case "boolean":
            return mark.score >= 0.5
        case "array":
            return []
        case "null":
            return None
    return mark.feedback
