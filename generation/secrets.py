"""Encryption of provider keys at rest: the archive's own."""

from __future__ import annotations

from cryptography.fernet import Fernet

from datasets.secrets import Undecryptable, decrypt, encrypt

__all__ = ["Fernet", "Undecryptable", "decrypt", "encrypt"]
