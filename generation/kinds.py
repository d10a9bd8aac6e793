"""The kinds of endpoints there are: the presets of the engine, and what this installation adds to them."""

from __future__ import annotations

from django.conf import settings

from generation import extensions
from generation.engine.providers.presets import PRESETS, Preset

LOCAL = "local"
ADDED = "added:"
"""Before the name of a model provider that the installation adds."""


def kinds() -> dict[str, Preset]:
    """Every kind by its name, as `Endpoint.preset` holds it."""
    models: dict[str, str] = settings.LOCAL_EMBEDDING_MODELS
    local = Preset(
        label="This machine",
        base_url="",
        help="SentenceTransformer models in processes of the workers, for embeddings only: nothing leaves this machine.",
        needs_key=False,
        needs_address=False,
        embedding_models=tuple(models),
    )
    return PRESETS | ({LOCAL: local} if models else {}) | {f"{ADDED}{name}": _added(name) for name in _names()}


def kind_of(preset: str) -> Preset:
    """Of an endpoint whose kind is no longer there, that of any server."""
    return kinds().get(preset, PRESETS["custom"])


def _names() -> list[str]:
    return extensions.names("models")


def _added(name: str) -> Preset:
    return Preset(
        label=name.replace("_", " ").replace("-", " ").capitalize(),
        base_url="",
        help="A model provider that this installation adds. Address and key are handed to it as they are.",
        needs_key=False,
        needs_address=False,
    )
