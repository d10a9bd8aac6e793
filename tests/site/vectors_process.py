"""A vector process of the tests' own, on a folder of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import httpx


class Vectors:
    """A vector process on a folder of its own, which can be ended and started again."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.socket = folder / "vectors.sock"
        self.process = self.start()

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> subprocess.Popen[str]:
        self.process = launch(self.data, self.socket)
        deadline = time.monotonic() + 30
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(self.socket))) as probe:
            while time.monotonic() < deadline and self.process.poll() is None:
                try:
                    assert probe.get("http://vectors/readyz").status_code == 200
                    return self.process
                except httpx.TransportError:
                    time.sleep(0.02)
        raise AssertionError(self.process.communicate(timeout=1))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(5)

    def shards(self, collection: str) -> list[str]:
        return sorted(path.name for path in (self.data / "collections" / collection).glob("shard-*"))


def launch(data: Path, socket: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "afterimage_web.embedded.vectors", "--data", data, "--socket", socket]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def refusal(data: Path, socket: Path) -> str:
    """What a process that must not start says."""
    process = launch(data, socket)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    return said
