"""What a first start does beyond starting: an administrator to log in as."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from django.contrib.auth import get_user_model


def welcome(data_dir: Path, url: str, say: Callable[[str], None] = print) -> None:
    """Greet at the terminal once everything runs: who may log in on a first start, and the address to open."""
    if password := make_administrator():
        say(f"Log in as admin with the password {password} (shown only now; change it on your account page).")
    say(f"AfterImage is at {url} (Ctrl-C stops it).")


def make_administrator() -> str | None:
    """Make the user admin and return the password, or None if somebody can log in already."""
    users = get_user_model().objects
    if users.exists():
        return None
    password = secrets.token_urlsafe(12)
    users.create_superuser(username="admin", password=password)
    return password
