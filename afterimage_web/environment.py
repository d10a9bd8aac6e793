"""Reading the environment: a value that cannot be meant is refused in one sentence, which never repeats a secret."""

from __future__ import annotations

import base64
import binascii
import logging
import os
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import psycopg
from psycopg.conninfo import conninfo_to_dict

YES, NO = frozenset({"1", "true", "yes", "on"}), frozenset({"", "0", "false", "no", "off"})
SCHEMES = {
    "REDIS_URL": ("redis", "rediss", "unix", "redis+socket"),
    "QDRANT_URL": ("http", "https", "unix"),
    "SITE_URL": ("http", "https"),
}
KEY_BYTES = 32


class WrongSetting(Exception):
    """A sentence for whoever set the environment: which variable is wrong and what it should look like."""


def env_text(name: str, default: str = "") -> str:
    """The value without blanks around it; one that is set to nothing counts as not set."""
    return os.environ.get(name, "").strip() or default


def env_flag(name: str, default: bool = False) -> bool:
    said = os.environ.get(name, str(default)).strip().lower()
    if said not in YES | NO:
        raise WrongSetting(f"{name} is neither yes nor no: set it to 1 or 0.")
    return said in YES


def env_list(name: str, default: str = "") -> list[str]:
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


def env_number(name: str, default: int) -> int:
    """A whole number above zero."""
    said = env_text(name, str(default))
    if not (said.isascii() and said.isdigit() and int(said)):
        raise WrongSetting(f"{name} is no whole number above zero: set it to one, for example {default}.")
    return int(said)


def env_time_zone(name: str) -> str:
    said = env_text(name, "UTC")
    try:
        ZoneInfo(said)
    except (KeyError, ValueError, OSError):  # no such zone; no such path; a folder of zones
        raise WrongSetting(
            f"{name} is no time zone that is known here: name one such as Europe/Lisbon, or UTC."
        ) from None
    return said


def env_log_level(name: str) -> str:
    said = env_text(name, "INFO").upper()
    if said not in logging.getLevelNamesMapping():
        raise WrongSetting(f"{name} is no level of logging: set it to DEBUG, INFO, WARNING or ERROR.")
    return said


def checked_address(name: str, address: str) -> str:
    """`address` as it is, if its scheme is one that `name` may have and something follows it."""
    parts = urlsplit(address)
    if parts.scheme not in SCHEMES[name] or not (parts.netloc or parts.path):
        examples = " or ".join(f"{scheme}://" for scheme in SCHEMES[name][:2])
        raise WrongSetting(f"{name} is no address that it could be: it begins with {examples}, then the host.")
    return address


def checked_database(address: str) -> dict[str, Any]:
    """The parts of PostgreSQL's address, under libpq's names."""
    try:
        return conninfo_to_dict(address)
    except psycopg.ProgrammingError:  # whose words repeat the password
        raise WrongSetting(
            "DATABASE_URL is no address of a PostgreSQL: it looks like postgresql://user:password@host:5432/name, with "
            "signs other than letters and digits in the password written as %XX."
        ) from None


def checked_keys(keys: list[str]) -> list[str]:
    """The keys that encrypt what people entrust to us, as they are: each must be 32 bytes in URL-safe base64."""
    for key in keys:
        try:
            right = len(base64.urlsafe_b64decode(key)) == KEY_BYTES
        except (binascii.Error, ValueError):
            right = False
        if not right:
            raise WrongSetting(
                "ENCRYPTION_KEYS, or without it the file encryption_key of the data folder, holds something that is no "
                "key: each is 32 bytes in URL-safe base64, for example from `openssl rand -base64 32 | tr '+/' '-_'`."
            )
    return keys
