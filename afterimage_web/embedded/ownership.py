"""Who runs the services of a data folder: one process at a time, which leaves a note of what it started."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import psutil

from afterimage_web.embedded.addresses import EmbeddedError

LAST_WORDS = 10.0
"""Seconds that processes of a killed start get to end by themselves; they were told to when it died."""


class AlreadyRunning(EmbeddedError):
    """Another process runs the services of this data folder."""


@contextmanager
def owned(data_dir: Path) -> Iterator[Note]:
    """Hold `data_dir` for this process alone, and yield its note. The kernel lets go of it however the process ends.

    Raises AlreadyRunning, which names the holder. What a killed holder left running is ended first.
    """
    note = Note(data_dir / "processes.json")
    with (data_dir / "lock").open("a+") as lock:
        take(lock, data_dir)
        for process in note.survivors():
            end_leftover(process)
        yield note


def take(lock: TextIO, data_dir: Path) -> None:
    """Lock the open file for this process and write its id into it; raise AlreadyRunning with the holder's."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        pid = lock.read()
        raise AlreadyRunning(
            f"AfterImage already runs on {data_dir} (process {pid}): use that one, or stop it with `kill {pid}`."
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


class Note:
    """The file in which the holder writes the process ids of its children, with their birth times.

    A process id alone could by now belong to somebody else; with its birth time it cannot.
    """

    SAME_BIRTH = 2.0
    """Seconds by which the recorded birth may differ: it is reckoned from the wall clock, which is sometimes corrected."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, pids: list[int]) -> None:
        births = []
        for pid in pids:
            with suppress(psutil.NoSuchProcess):
                births.append((pid, psutil.Process(pid).create_time()))
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps(births))
        draft.replace(self.path)

    def survivors(self) -> list[psutil.Process]:
        """The noted children that still live."""
        found = []
        for pid, birth in self._read():
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if abs(process.create_time() - birth) < self.SAME_BIRTH:
                    found.append(process)
        return found

    def _read(self) -> list[tuple[int, float]]:
        try:
            return json.loads(self.path.read_text())
        except (FileNotFoundError, ValueError):
            return []


def end_leftover(process: psutil.Process) -> None:
    """Wait for a process that was told to end, and kill it and its group if it does not."""
    if not gone(process, LAST_WORDS):
        kill_group(process.pid)
        gone(process, LAST_WORDS)


def gone(process: psutil.Process, patience: float) -> bool:
    """Whether `process` ends within `patience` seconds. One that nobody has buried yet (a zombie) has ended."""
    deadline = time.monotonic() + patience
    with suppress(psutil.NoSuchProcess):
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
    return True


def kill_group(leader: int) -> None:
    """Kill every process of the group that `leader` led, whether it still lives or not."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
