"""Keys that a server makes for itself on its first start and keeps in its data folder, readable by nobody else."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path


def key_from(path: Path) -> str:
    """The key kept at `path` (mode 0600), made if there is none. 32 random bytes in URL-safe base64."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _make(path)


def _make(path: Path) -> str:
    """Link the finished file into place, so that of two processes starting together both read the first one's key."""
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key)
    try:
        os.link(draft, path)
    except FileExistsError:
        return path.read_text().strip()
    finally:
        draft.unlink()
    return key
