"""What of a JSON object is lost when it is written anew from what was understood of it, so that nothing has to be."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

Patch = dict[str, Any]
"""`{"set": {key: value}, "absent": [key]}`, each only where there is something to say."""


def patch(original: dict[str, Any], rebuilt: dict[str, Any]) -> Patch:
    """What turns `rebuilt` into `original`, key by key."""
    found: Patch = {}
    if differing := {key: value for key, value in original.items() if rebuilt.get(key, Ellipsis) != value}:
        found["set"] = differing
    if absent := [key for key in rebuilt if key not in original]:
        found["absent"] = absent
    return found


def patched(rebuilt: dict[str, Any], change: Patch | None, *, keep: Collection[str] = ()) -> dict[str, Any]:
    """`rebuilt` with a patch laid over it, which leaves the keys `keep` alone."""
    if not change:
        return rebuilt
    left = {key: value for key, value in rebuilt.items() if key in keep or key not in change.get("absent", ())}
    return left | {key: value for key, value in change.get("set", {}).items() if key not in keep}
