"""The sample project's material, written for it: the support handbook of a made-up weather station, and its people."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

import yaml

HANDBOOK = Path(__file__).parent / "handbook"


class SamplePersona(TypedDict):
    name: str
    description: str
    features: dict[str, str]


class SamplePrompt(TypedDict):
    """`role` is "respondent" or "correspondent"."""

    name: str
    role: str
    text: str


def load_personas() -> list[SamplePersona]:
    return _load("personas.yaml")


def load_prompts() -> list[SamplePrompt]:
    return _load("prompts.yaml")


def _load(name: str) -> list[Any]:
    items: list[Any] = yaml.safe_load((HANDBOOK.parent / name).read_text(encoding="utf-8"))
    return items
