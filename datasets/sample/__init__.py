"""The sample project's material, written for it: the support handbook of a made-up weather station, and its people."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

HANDBOOK = Path(__file__).parent / "handbook"


class SamplePersona(NamedTuple):
    name: str
    description: str
    features: dict[str, str]


class SamplePrompt(NamedTuple):
    """`role` is "respondent" or "correspondent"."""

    name: str
    role: str
    text: str


def load_personas() -> list[SamplePersona]:
    return [SamplePersona(**item) for item in _load("personas.yaml")]


def load_prompts() -> list[SamplePrompt]:
    return [SamplePrompt(**item) for item in _load("prompts.yaml")]


def _load(name: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = yaml.safe_load((HANDBOOK.parent / name).read_text(encoding="utf-8"))
    return items
