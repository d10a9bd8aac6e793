"""What the tests' model server says: varied, about the prompt, and the same for the same request."""

from __future__ import annotations

import base64
import json
import math
import random
import re
import zlib
from array import array
from typing import Any

WORD = re.compile(r"[^\W\d_]{4,}")
SCHEMA = re.compile(r"JSON schema[^{]{0,80}(?=\{)", re.IGNORECASE)
OPENINGS = (
    "In short, {} depends on {}.",
    "The part about {} says that {} comes first.",
    "You would look at {} before {}.",
    "Both {} and {} matter here.",
    "As a rule, {} follows from {}.",
    "Start with {}, then check {}.",
    "There is one exception: {} without {}.",
    "Most people mix up {} and {}.",
)
QUESTIONS = (
    "How does {} affect {}?",
    "What should I know about {} and {}?",
    "When would {} matter more than {}?",
    "Can you explain {} with regard to {}?",
    "Why does {} depend on {}?",
    "Is {} possible without {}?",
)
ASKING = re.compile(r"question|instruction|prompt|query", re.IGNORECASE)


class Composer:
    """Composes the reply to one request from the words of its prompt."""

    def __init__(self, prompt: str, seed: int, words: int) -> None:
        self.chance = random.Random(seed)
        self.words = words
        self.vocabulary = list(dict.fromkeys(WORD.findall(prompt[-4000:])))[-200:] or ["nothing", "something"]

    def sentence(self, patterns: tuple[str, ...]) -> str:
        first, second = self.chance.choices(self.vocabulary, k=2)
        return self.chance.choice(patterns).format(first, second if second != first else "the rest")

    def prose(self) -> str:
        count = max(1, round(self.words / 8))
        return " ".join(self.sentence(OPENINGS) for _ in range(count))

    def value(self, schema: dict[str, Any], name: str = "", root: dict[str, Any] | None = None) -> Any:
        """A value that satisfies a JSON schema (the parts of it that structured outputs allow)."""
        root = root if root is not None else schema
        if "$ref" in schema:
            return self.value(_referred(schema["$ref"], root), name, root)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.chance.choice(schema["enum"])
        for variants in ("anyOf", "oneOf", "allOf"):
            if variants in schema:
                return self.value(schema[variants][0], name, root)
        return self._typed(schema, name, root)

    def _typed(self, schema: dict[str, Any], name: str, root: dict[str, Any]) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        kind = kind[0] if isinstance(kind, list) else kind
        match kind:
            case "object":
                parts = schema.get("properties", {})
                return {key: self.value(part, key, root) for key, part in parts.items()}
            case "array":
                return [self.value(schema.get("items", {}), name, root) for _ in range(self._length(schema))]
            case "integer":
                return self.chance.randint(*_inside(schema, *_bounds(schema, 0, 10)))
            case "number":
                return round(self.chance.uniform(*_bounds(schema, 0.0, 1.0)), 3)
            case "boolean":
                return self.chance.random() < 0.5
            case "null":
                return None
        return self._string(schema, name)

    def _length(self, schema: dict[str, Any]) -> int:
        least = max(1, schema.get("minItems", 1))
        return self.chance.randint(least, max(least, schema.get("maxItems", least + 2)))

    def _string(self, schema: dict[str, Any], name: str) -> str:
        text = self.sentence(QUESTIONS if ASKING.search(name) else OPENINGS)
        while len(text) < schema.get("minLength", 0):
            text += " " + self.sentence(OPENINGS)
        return text[: schema.get("maxLength", len(text))]


def _referred(reference: str, root: dict[str, Any]) -> dict[str, Any]:
    part: Any = root
    for key in reference.removeprefix("#/").split("/"):
        part = part[key]
    return part


def _bounds(schema: dict[str, Any], low: float, high: float) -> tuple[float, float]:
    least = schema.get("minimum", schema.get("exclusiveMinimum", low))
    most = schema.get("maximum", schema.get("exclusiveMaximum", max(high, least + high - low)))
    return least, most


def _inside(schema: dict[str, Any], low: float, high: float) -> tuple[int, int]:
    """Integer bounds, both inclusive."""
    return math.ceil(low) + ("exclusiveMinimum" in schema), math.floor(high) - ("exclusiveMaximum" in schema)


def prompt_of(messages: list[dict[str, Any]]) -> str:
    """The texts of a request's messages, one after the other."""
    return "\n".join(text for one in messages if isinstance(text := one.get("content"), str))


def described_schema(prompt: str) -> dict[str, Any] | None:
    """The JSON schema written out in a prompt, as clients do for servers without structured outputs."""
    if not (found := SCHEMA.search(prompt)):
        return None
    try:
        schema, _ = json.JSONDecoder().raw_decode(prompt, found.end())
    except ValueError:
        return None
    return schema


def vector(text: str, dimension: int) -> array[float]:
    """A unit vector that texts with the same words share in part: words are hashed to places."""
    values = array("f", bytes(4 * dimension))
    for word in WORD.findall(text.lower()) or [text]:
        values[hash_of(word) % dimension] += 1.0
    norm = sum(value * value for value in values) ** 0.5
    return array("f", (value / norm for value in values))


def hash_of(text: str) -> int:
    return zlib.crc32(text.encode())


def encoded(values: array[float], encoding: str) -> str | list[float]:
    """As the API sends a vector: base64 of little-endian float32, or a list."""
    return base64.b64encode(values.tobytes()).decode() if encoding == "base64" else values.tolist()
