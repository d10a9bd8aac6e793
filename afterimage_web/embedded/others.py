"""Servers of somebody else's that the environment names: whether they answer, asked before anything relies on them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from afterimage_web.embedded.addresses import EmbeddedError, redis_py_url

PATIENCE = 5
"""Seconds that each has to answer."""


def check_others(environment: Mapping[str, str]) -> None:
    """Raises EmbeddedError in one sentence, without the password, where DATABASE_URL, REDIS_URL or QDRANT_URL names a server
    that does not answer."""
    for name, ask in (("DATABASE_URL", _database), ("REDIS_URL", _redis), ("QDRANT_URL", _qdrant)):
        if not (address := environment.get(name)):
            continue
        if why := ask(address, environment):
            raise EmbeddedError(
                f"The server that {name} names cannot be used: {why}. See that it runs and that the address is right, or "
                f"unset {name} to have one of our own started."
            )


def _database(address: str, _: Mapping[str, str]) -> str:
    import psycopg

    try:
        psycopg.connect(address, connect_timeout=PATIENCE).close()
    except psycopg.OperationalError as error:
        return str(error).partition("\n")[0].rstrip(".")  # then come hints
    return ""


def _redis(address: str, _: Mapping[str, str]) -> str:
    import redis

    try:
        with redis.Redis.from_url(
            redis_py_url(address), socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE
        ) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        return str(error).rstrip(".") or type(error).__name__
    return ""


def _qdrant(address: str, environment: Mapping[str, str]) -> str:
    from datasets.index import IndexFault, connect

    async def ask() -> None:
        async with asyncio.timeout(PATIENCE), connect(address, environment.get("QDRANT_API_KEY")) as client:
            await client.get_collections()

    try:
        asyncio.run(ask())
    except TimeoutError:
        return "it takes too long"
    except IndexFault as error:
        return str(error).partition(": see that")[0].rstrip(".")  # what to do is said for all three
    return ""
