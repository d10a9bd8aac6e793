"""The vector process: `python -m afterimage_web.embedded.vectors --data DIR --socket PATH`.

It answers the part of Qdrant's REST API that the application uses on a unix socket, and is the only process that opens
the Qdrant Edge shards in DIR: a second one would damage them, so a lock is taken before anything is loaded.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from afterimage_web.embedded.addresses import EmbeddedError
from afterimage_web.embedded.vectors_http import application
from afterimage_web.embedded.vectors_store import Store

LAST_ANSWERS = 1.0
"""Seconds that requests under way get to finish when the process is told to stop."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="vectors", description="The embedded vector process.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the collections")
    parser.add_argument("--socket", type=Path, required=True, help="unix socket to answer on")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    os.umask(0o077)
    try:
        with owned(arguments.data):
            claim(arguments.socket)
            asyncio.run(serve(arguments.data / "collections", arguments.socket))
    except EmbeddedError as error:
        sys.exit(str(error))


@contextmanager
def owned(data: Path) -> Iterator[None]:
    """Hold the folder for this process alone; the kernel lets go of it however the process ends."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "lock").open("a+")
    except OSError as error:
        raise EmbeddedError(f"The vector folder {data} cannot be used ({error.strerror}): name another one.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise EmbeddedError(
                f"The vectors in {data} are already open in process {lock.read().strip()}: "
                "stop that one first, or name another folder."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def claim(path: Path) -> None:
    """Make way for our socket: one that a killed process left is removed, one that somebody answers on is not."""
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise EmbeddedError(f"{path} is in the way and is not a socket: remove it, or name another socket.")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise EmbeddedError(f"Another process answers on {path}: stop it first, or name another socket.")


async def serve(folder: Path, path: Path) -> None:
    """Answer until SIGTERM or SIGINT, then flush everything to disk."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    folder.mkdir(exist_ok=True)
    store = Store(folder)
    runner = web.AppRunner(application(store), access_log=None, shutdown_timeout=LAST_ANSWERS)
    await runner.setup()
    await _listen(runner, path)
    upkeep = [asyncio.create_task(store.keep_flushed()), asyncio.create_task(store.keep_optimized())]
    await stopped.wait()
    path.unlink(missing_ok=True)
    for task in upkeep:
        task.cancel()
    await asyncio.gather(*upkeep, runner.cleanup(), return_exceptions=True)
    store.close()


async def _listen(runner: web.AppRunner, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        await web.UnixSite(runner, path).start()
    except OSError as error:  # among others: a path of more than 107 bytes
        raise EmbeddedError(f"The socket {path} cannot be made ({error}): name another, shorter path.") from error


if __name__ == "__main__":
    main()
