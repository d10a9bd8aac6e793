"""Programs run from outside, as a person at a terminal runs them, and what becomes of their processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

PROJECT = Path(__file__).resolve().parents[2]


class Outside:
    """A program started as from a terminal: its output so far, its signals, its end."""

    def __init__(self, *command: str, **environment: str) -> None:
        named = {"DATABASE_URL", "REDIS_URL", "QDRANT_URL", "AFTERIMAGE_DATA"}
        inherited = {name: value for name, value in os.environ.items() if name not in named}
        self.output = ""
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=PROJECT,
            env=inherited | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def says(self, words: str) -> str:
        """Read on until a line contains `words`, and return it."""
        for line in self.process.stdout:
            self.output += line
            if words in line:
                return line
        pytest.fail(f"never said {words!r} but:\n{self.output}")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stops(self) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGINT)
            self.ends()

    def ends(self) -> int:
        """Wait for its end; the exit status. The rest of its output is kept."""
        self.output += self.process.communicate(timeout=30)[0]
        return self.process.returncode


def eventually(condition: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def family(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)
