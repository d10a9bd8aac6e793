"""What an installation adds to the press, named in the settings by dotted names and in recipes by its own name.

`AFTERIMAGE_EXTENSIONS = {"retrievers": {"wiki": "acme.retrievers.Wiki"}}` makes a retriever `wiki`. Each name stands for
a class, or any callable, that takes the recipe's options as keyword arguments and gives the component.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from generation.engine.errors import FatalError

Kind = Literal["instructions", "retrievers", "evaluators", "stopping", "hooks", "models", "sinks"]


def names(kind: Kind) -> list[str]:
    """What the installation adds of a kind, for forms."""
    return sorted(_registered(kind))


def build(kind: Kind, name: str, **given: Any) -> Any:
    """The component of that name. Raises FatalError, in a sentence, when there is none or it cannot be made."""
    path = _registered(kind).get(name)
    if path is None:
        raise FatalError(unknown(kind, name))
    try:
        return import_string(path)(**given)
    except Exception as error:
        raise FatalError(f"“{name}” ({path}) cannot be made: {type(error).__name__}: {error}") from error


def unknown(kind: Kind, name: str) -> str:
    """What is said of a name that nothing is registered under."""
    return f"This installation has no {kind} named “{name}” (it has: {', '.join(names(kind)) or 'none'})."


def stopping_rules() -> Mapping[str, Callable[..., Any]]:
    """The factories of all stopping rules that are added."""
    return {name: _factory(name) for name in names("stopping")}


def _factory(name: str) -> Callable[..., Any]:
    return lambda **options: build("stopping", name, **options)


def _registered(kind: Kind) -> Mapping[str, str]:
    registered = settings.AFTERIMAGE_EXTENSIONS.get(kind, {})
    if not isinstance(registered, Mapping):
        raise ImproperlyConfigured(f"AFTERIMAGE_EXTENSIONS[{kind!r}] must map names to dotted names.")
    return registered
