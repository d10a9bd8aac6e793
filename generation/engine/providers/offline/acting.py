"""Rows, calls of functions and their results, without understanding: chosen by words, filled by their schemas."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from generation.engine.protocols import ChatRequest

from .filling import Filler
from .reading import Passage, alike, passages, salient, sentences, tagged

_RESULTS = re.compile(r'<tool_result call="[^"]*">\n(.*?)\n</tool_result>', re.DOTALL)
_LISTED = re.compile(r"^- (\S+): (.*?) (\{.*\})$", re.MULTILINE)
_WISHES = ("Could you {}?", "I need you to {}.", "Please {}.", "I'd like to {}.")
_FOUND = ("Here is what I found: {}.", "This is what I have: {}.", "I looked it up: {}.")
_LEAF_LENGTH = 200
WISHES = 4
"""How many first messages are thought of for each function."""
NEAREST = 6
"""How many sentences of the passages a row is made of."""


def row(request: ChatRequest, chance: random.Random) -> str:
    """A value of the request's schema, out of its passages, or out of the instruction where there are none."""
    asked = request.turns[-1].content
    nearest = sorted(_known(request), key=lambda text: alike(asked, text), reverse=True)[:NEAREST]
    value = Filler(request.schema or {}, nearest, chance).value(request.schema)
    return json.dumps(value, ensure_ascii=False)


def step(request: ChatRequest, chance: random.Random, words: str) -> str:
    """A call, if one can be made and none has been answered yet; else `words`, or what the results say."""
    schema = request.schema or {}
    results = _RESULTS.findall(request.turns[-1].content)
    reply: dict[str, Any] = {"reasoning": "Chosen offline, by words that the message and the function have in common."}
    if not results and (call := _call(request, _choices(schema), chance)):
        return json.dumps(reply | {"tool_calls": [call], "content": ""}, ensure_ascii=False)
    said = chance.choice(_FOUND).format("; ".join(map(_told, results))) if results else words
    return json.dumps(reply | {"tool_calls": [], "content": said}, ensure_ascii=False)


def result(request: ChatRequest, chance: random.Random) -> str:
    """The arguments given back, with a state and a number: the same for the same call."""
    given = tagged(request.turns[-1].content, "arguments")
    arguments = json.loads(given[0]) if given else {}
    made = {"status": "ok", "reference": f"R-{chance.randrange(10_000):04}", "offline": True}
    return json.dumps({**arguments, **made}, ensure_ascii=False)


def wishes(request: ChatRequest, chance: random.Random) -> list[str]:
    """First messages that call for the functions that the request lists; none when it lists none."""
    prompt = request.turns[-1].content
    tools = [found for block in tagged(prompt, "tools") for found in _LISTED.findall(block)]
    phrases = salient(_text_of(request), 12)
    return [
        _wish(name, description, parameters, phrases, chance)
        for name, description, parameters in tools
        for _ in range(WISHES)
    ]


def _wish(name: str, description: str, parameters: str, phrases: Sequence[str], chance: random.Random) -> str:
    """Asks for what the function does, and says all that it has to be given."""
    spoken = name.replace("_", " ")
    schema = json.loads(parameters)
    values = Filler(schema, phrases or [f"number {chance.randrange(100, 1000)}"], chance).value(schema) or {}
    told = ", ".join(f"{key.replace('_', ' ')} {_leaf(value)}" for key, value in values.items())
    wanted = spoken if description == "no description" else _lower(description.rstrip(". "))
    return chance.choice(_WISHES).format(wanted) + (f" It is about {told}." if told else "")


def _lower(text: str) -> str:
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _choices(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The forms of calls that a step may make."""
    items = schema.get("properties", {}).get("tool_calls", {}).get("items")
    return list(items.get("anyOf", [items])) if items else []


def _call(request: ChatRequest, choices: Sequence[Mapping[str, Any]], chance: random.Random) -> Any:
    """Of the function whose description has most to do with the user's message. None when none has, and one was called."""
    if not choices:
        return None
    asked = request.turns[-1].content
    described = {json.loads(line)["name"]: line for line in tagged(request.turns[0].content, "tools")[-1].splitlines()}
    best = max(choices, key=lambda one: alike(asked, described.get(_name(one), "")))
    called = any("tool_calls" in turn.content for turn in request.turns if turn.role == "assistant")
    if called and not alike(asked, described.get(_name(best), "")):
        return None
    return Filler(request.schema or {}, salient(asked) or [asked], chance, said=asked).value(best)


def _name(choice: Mapping[str, Any]) -> str:
    return choice["properties"]["name"]["enum"][0]


def _known(request: ChatRequest) -> list[str]:
    found = passages(request) or [Passage("", tuple(sentences(request.turns[-1].content)))]
    texts = [sentence.text for passage in found for sentence in passage.sentences]
    return texts or [request.turns[-1].content.strip()]


def _text_of(request: ChatRequest) -> str:
    return "\n".join(sentence.text for passage in passages(request) for sentence in passage.sentences)


def _told(result: str) -> str:
    """A result in words."""
    try:
        value = json.loads(result)
    except ValueError:
        return result
    parts = value.items() if isinstance(value, dict) else enumerate(value, 1)
    return ", ".join(f"{str(key).replace('_', ' ')} is {_leaf(part)}" for key, part in parts if key != "offline")


def _leaf(value: Any) -> str:
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return said if len(said) <= _LEAF_LENGTH else said[: _LEAF_LENGTH - 1] + "…"
