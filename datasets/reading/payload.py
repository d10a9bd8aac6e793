"""Points of a vector store made readable: which key of their payloads holds the text, and how a point becomes a document.

A key may name a nested value, as `metadata.source` does. A key that is there as it stands goes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import rows
from .clean import clean, clean_json, key_of, title_of
from .contract import JSON, Problem, ReadOptions, Text, Unreadable

DEEPEST = 4
"""Levels below which no keys are offered."""
OFFERED = 100


@dataclass(frozen=True, slots=True)
class Keys:
    """Where a payload holds the text, its title and what it is called; "" for none of these."""

    content: str
    title: str = ""
    id: str = ""


def value_at(payload: Mapping[str, Any], key: str) -> Any:
    """None where there is nothing."""
    value: Any = payload if (path := _path(payload, key)) else None
    for name in path:
        value = value[name]
    return value


def without(payload: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The payload without what stands at `key`."""

    def left(part: Mapping[str, Any], path: Sequence[str]) -> dict[str, Any]:
        if len(path) < 2:
            return {name: value for name, value in part.items() if name not in path}
        return {**part, path[0]: left(part[path[0]], path[1:])}

    return left(payload, _path(payload, key))


def _path(payload: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """The names that lead to what stands at `key`; () where nothing does."""
    if key in payload:
        return (key,)
    names = key.split(".")
    for cut in range(1, len(names)):
        first, rest = ".".join(names[:cut]), ".".join(names[cut:])
        inner = payload.get(first)
        if isinstance(inner, Mapping) and (path := _path(inner, rest)):
            return (first, *path)
    return ()


def keys_in(payloads: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys, nested ones too, at which some payload holds a text or a number, in the order in which they come."""
    found: dict[str, None] = {}
    for payload in payloads:
        found |= dict.fromkeys(name for name, _ in _flat(payload, DEEPEST))
    return list(found)[:OFFERED]


def guess(payloads: Sequence[Mapping[str, Any]]) -> Keys | None:
    """The keys to use, by their usual names, else the one with the longest texts; None if no payload holds a text."""
    flat = [dict(_flat(payload, DEEPEST)) for payload in payloads]
    full: dict[str, str] = {}
    for name in sorted({name for each in flat for name in each}, key=lambda name: name.count(".")):
        full.setdefault(name.rpartition(".")[2], name)  # a nested key is known by its last part
    try:
        named = [{short: each[name] for short, name in full.items() if name in each} for each in flat]
        picked = rows.pick(named, None, ReadOptions())
    except Unreadable:
        return None
    return Keys(full[picked.content], full.get(picked.title, ""), full.get(picked.id, "")) if picked.content else None


def _flat(payload: Mapping[str, Any], levels: int, prefix: str = "") -> Iterator[tuple[str, str | int | float]]:
    for name, value in payload.items():
        if isinstance(value, Mapping) and levels > 1:
            yield from _flat(value, levels - 1, f"{prefix}{name}.")
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}", value


def text_of(payload: Mapping[str, Any], key: str) -> str:
    """The text at `key` as it is kept; "" if there is none."""
    value = value_at(payload, key)
    return clean(value) if isinstance(value, str) else ""


def document(point: str, payload: Mapping[str, Any], keys: Keys, collection: str, share: float) -> Text | Problem:
    """The point as a document, or why it is none. `point` is its id, which stays its key."""
    text = text_of(payload, keys.content)
    if not text.strip():
        return Problem(f"point {point}", _complaint(value_at(payload, keys.content), keys.content))
    if len(text) > ReadOptions().max_chars:
        return Problem(f"point {point}", f"Its text is longer than {ReadOptions().max_chars:,} characters.")
    metadata = clean_json(without(without(payload, keys.content), keys.title))
    return Text(
        title=_line_at(payload, keys.title) or title_of(f"{collection}, {point}"),
        text=text,
        key=key_of(point),
        external_id=key_of(str(_line_at(payload, keys.id) or point)),
        metadata=metadata if isinstance(metadata, dict) else {},
        share=share,
    )


def _line_at(payload: Mapping[str, Any], key: str) -> str:
    value: JSON = value_at(payload, key) if key else None
    return title_of(str(value)) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _complaint(value: JSON, key: str) -> str:
    if value is None:
        return f"It has no “{title_of(key)}”."
    if isinstance(value, str):
        return f"Its “{title_of(key)}” is empty."
    return f"Its “{title_of(key)}” holds no text."
