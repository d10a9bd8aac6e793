"""Where the embedded services of a data folder listen. Deriving an address starts nothing."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from afterimage_web.keyfiles import key_from


class EmbeddedError(Exception):
    """A sentence for the person at the terminal: what is wrong and how to mend it."""


@dataclass(frozen=True)
class Urls:
    """The addresses of the three services: `postgresql://`, `redis+socket://` and `unix://`."""

    database: str
    redis: str
    qdrant: str


def urls(data_dir: Path) -> Urls:
    """The addresses of the services of `data_dir`, whether they run or not. Makes the folder and the password if needed.

    Raises EmbeddedError if the data folder or its socket folder cannot be used by this user.
    """
    password = quote(_password(data_dir), safe="")
    sockets = socket_folder(data_dir)
    return Urls(
        database=f"postgresql://afterimage:{password}@/afterimage?host={sockets / 'postgres'}",
        redis=f"redis+socket://{sockets / 'valkey.sock'}",
        qdrant=f"unix://{sockets / 'vectors.sock'}",
    )


def urls_from(environment: Mapping[str, str], data_dir: Path) -> Urls:
    """The servers that DATABASE_URL, REDIS_URL and QDRANT_URL name, and for the rest the services of `data_dir`.

    Raises EmbeddedError as `urls` does; touches no data folder where all three are named.
    """
    database, redis, qdrant = (environment.get(name, "") for name in ("DATABASE_URL", "REDIS_URL", "QDRANT_URL"))
    if database and redis and qdrant:
        return Urls(database, redis, qdrant)
    own = urls(data_dir)
    return Urls(database or own.database, redis or own.redis, qdrant or own.qdrant)


def redis_py_url(url: str) -> str:
    """`url` as redis-py spells it: `unix:///path?db=0` for a socket, anything else unchanged."""
    return url.replace("redis+socket://", "unix://", 1).replace("virtual_host=", "db=", 1)


def kombu_url(url: str) -> str:
    """`url` as Celery and kombu spell it: `redis+socket:///path?virtual_host=0` for a socket, else unchanged."""
    if not url.startswith(("unix://", "redis+socket://")):
        return url
    return url.replace("unix://", "redis+socket://", 1).replace("db=", "virtual_host=", 1)


def socket_folder(data_dir: Path) -> Path:
    """The folder of the sockets of `data_dir`, in which nobody else may look or write; made if needed.

    It lies in /tmp because a socket's path may have no more than 107 bytes, and not where an environment variable
    says, because a cron job must find the services that a terminal started.
    """
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    folder = Path("/tmp") / f"afterimage-{os.geteuid()}-{digest}"  # noqa: S108 - checked right below
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o066:
        raise EmbeddedError(
            f"{folder}, where the services' sockets belong, is not a private folder of yours: "
            "somebody else may have made it. Remove it and start again."
        )
    return folder


def _password(data_dir: Path) -> str:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if data_dir.stat().st_uid != os.geteuid():
            raise EmbeddedError(
                f"The data folder {data_dir} belongs to another user: start as that user, "
                "or name a folder of your own in AFTERIMAGE_DATA."
            )
        return key_from(data_dir / "postgres_password")
    except OSError as error:
        raise EmbeddedError(
            f"The data folder {data_dir} cannot be used ({error.strerror}): name another one in AFTERIMAGE_DATA."
        ) from error
