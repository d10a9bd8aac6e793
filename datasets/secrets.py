"""Encryption, at rest, of the keys that people entrust to a project."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Undecryptable(Exception):
    """The stored key was encrypted with another encryption key."""


def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])


def encrypt(secret: str) -> bytes:
    return _fernet().encrypt(secret.encode())


def decrypt(token: bytes) -> str:
    """Raises Undecryptable."""
    try:
        return _fernet().decrypt(token).decode()
    except InvalidToken as error:
        raise Undecryptable(
            "A stored provider key cannot be read with this server's encryption key: enter the key again."
        ) from error


def hint_of(secret: str) -> str:
    """The few last characters, by which people know a key again; "" for one so short that they would give it away."""
    return secret[-4:] if len(secret) >= 12 else ""
