"""Values of a JSON schema: texts cut out of what is known, all else drawn by the seed."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from .reading import alike, content

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_FIRST_DAY = date(2025, 1, 1)
MOST_ITEMS = 3
DEEPEST = 12
"""Schemas that refer to themselves are filled no deeper."""


@dataclass(slots=True)
class Filler:
    """Fills schemas below `root` with `texts`, and with what `said` says of a property by its name."""

    root: Mapping[str, Any]
    texts: Sequence[str]
    chance: random.Random
    said: str = ""

    def value(self, schema: Any, name: str = "", depth: int = 0) -> Any:
        """A value of `schema`; `name` is that of the property, whose words say which text suits."""
        if not isinstance(schema, Mapping) or depth > DEEPEST:
            return None
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._chosen(schema["enum"], name)
        for variants in ("anyOf", "oneOf", "allOf"):
            if schema.get(variants) and "properties" not in schema:
                return self.value(schema[variants][0], name, depth + 1)
        return self._of_type(schema, name, depth)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        for _ in range(DEEPEST):
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                break
            found: Any = self.root
            for key in filter(None, reference.removeprefix("#").split("/")):
                found = found.get(key, {}) if isinstance(found, Mapping) else {}
            schema = found
        return schema

    def _of_type(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        match _kind(schema):
            case "object":
                parts = schema.get("properties", {})
                return {key: self.value(part, key, depth + 1) for key, part in parts.items()}
            case "array":
                return self._items(schema, name, depth)
            case "integer":
                return round(self._number(schema, 1))
            case "number":
                return self._number(schema, 2)
            case "boolean":
                return self._truth(name)
            case "null":
                return None
        return self._text(schema, name)

    def _truth(self, name: str) -> bool:
        said = re.search(rf"\b{re.escape(name.replace('_', ' '))} (true|false)\b", self.said)
        return said[1] == "true" if said else self.chance.random() < 0.5

    def _items(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        least, most = schema.get("minItems", 1), schema.get("maxItems", MOST_ITEMS)
        count = self.chance.randint(least, max(least, min(most, MOST_ITEMS)))
        made: list[Any] = []
        for _ in range(count):
            value = self.value(schema.get("items", {"type": "string"}), name, depth + 1)
            if value not in made or len(made) < least:
                made.append(value)
        return made

    def _number(self, schema: Mapping[str, Any], digits: int) -> float:
        """One that the texts name, where one of them is allowed."""
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + ("exclusiveMinimum" in schema))
        high = schema.get("maximum", schema.get("exclusiveMaximum", low + 101) - 1)
        whole = _kind(schema) == "integer"
        named = [float(said) for text in (self.said, *self.texts) for said in _NUMBER.findall(text)]
        fitting = [one for one in named if low <= one <= high and (not whole or one.is_integer())]
        step = schema.get("multipleOf", 0)
        drawn = self.chance.choice(fitting) if fitting else self.chance.uniform(low, max(low, high))
        return round(drawn / step) * step if step else round(drawn, 0 if whole else digits)

    def _chosen(self, choices: Sequence[Any], name: str) -> Any:
        """What the texts speak of, if any of the choices; else one that is drawn."""
        known = set(content(" ".join([self.said, *self.texts])))
        spoken = [one for one in choices if isinstance(one, str) and set(content(one)) & known]
        return self.chance.choice(spoken or list(choices))

    def _text(self, schema: Mapping[str, Any], name: str) -> str:
        """The text whose words suit the property best."""
        if form := schema.get("format"):
            return self._formatted(form)
        if named := re.search(rf"\b{re.escape(name.replace('_', ' '))} ([^,.;?!\n]+)", self.said, re.IGNORECASE):
            return named[1][: schema.get("maxLength")]
        wanted = f"{name.replace('_', ' ')} {schema.get('description', '')}"
        ranked = sorted(self.texts, key=lambda text: alike(wanted, text), reverse=True)
        fitting = [text for text in ranked if alike(wanted, text) == alike(wanted, ranked[0])]
        text = self.chance.choice(fitting) if fitting else "unknown"
        least, most = schema.get("minLength", 0), schema.get("maxLength", len(text))
        while len(text) < least:
            text += " " + (self.chance.choice(self.texts) if self.texts else text)
        return text[: max(least, most)].strip() or text[: max(least, most)]

    def _formatted(self, form: str) -> str:
        day = _FIRST_DAY + timedelta(days=self.chance.randrange(365))
        number = self.chance.randrange(16**12)
        return {
            "date": f"{day}",
            "date-time": f"{day}T09:{number % 60:02}:00Z",
            "time": f"09:{number % 60:02}:00Z",
            "email": f"user{number % 1000}@example.com",
            "uri": f"https://example.com/{number % 1000}",
            "uuid": f"00000000-0000-4000-8000-{number:012x}",
            "ipv4": f"192.0.2.{number % 256}",
        }.get(form, f"{form} {number % 1000}")


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return next((one for one in kind if one != "null"), "null") if isinstance(kind, list) else kind
