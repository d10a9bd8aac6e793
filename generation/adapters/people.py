"""Personas as the engine wants them: in the words that they had at a moment."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from datasets.models import PersonaVersion
from generation.engine.protocols import PersonaSketch


def sketches_as_of(personas: Collection[int], moment: datetime) -> dict[int, PersonaSketch]:
    """Each persona by its latest version of `moment`: versions never change, so a run need not copy their texts."""
    if not personas:
        return {}
    versions = PersonaVersion.objects.filter(persona__in=personas, created__lte=moment).select_related("persona")
    latest = versions.order_by("persona_id", "-number").distinct("persona_id")
    return {version.persona_id: PersonaSketch(version.persona.name, in_words(version)) for version in latest}


def in_words(version: PersonaVersion) -> str:
    """A persona as a model is told of it: the description, the named traits, and how to play them."""
    traits = [f"- {name.replace('_', ' ')}: {value}" for name, value in version.features.items()]
    said = "\n".join([version.description.strip(), *traits])
    return f"{said}\n\n{version.system_prompt}" if version.system_prompt else said
