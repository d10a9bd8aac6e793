"""The `model_server` fixture: the tests' model server in a process of its own, as a pytest plugin."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


class RunningModelServer:
    """A handle on a server in another process. `base_url` is what a client is given."""

    def __init__(self, port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self.base_url = f"{self.origin}/v1"

    def control(self, **settings: Any) -> None:
        """Change settings, e.g. control(latency=0.2, faults=[{"kind": "hang", "count": 1}])."""
        self._call("/control", settings)

    def fail(self, kind: str, **fault: Any) -> None:
        """One fault, in place of all others: fail("status", status=503, count=2)."""
        self.control(faults=[{"kind": kind, **fault}])

    def stats(self) -> dict[str, Any]:
        return self._call("/control")

    def requests(self) -> list[dict[str, Any]]:
        """The last requests, oldest first: [{"at": seconds since the epoch, "body": {…}}]."""
        return self._call("/control/requests")

    def reset(self) -> None:
        """As it was at the start, with nothing counted."""
        self._call("/control/reset", {})

    def _call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(self.origin + path, data, timeout=5) as answer:
            return json.load(answer)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_model_server(*options: str) -> tuple[RunningModelServer, subprocess.Popen[str]]:
    """Start one with command line options; returns when it answers. The caller ends the process."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.model_server", "--port", str(port), *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if "Model server on" not in line:
        process.kill()
        raise RuntimeError(f"The model server did not start: {line!r}")
    return RunningModelServer(port), process


@pytest.fixture(scope="session")
def model_server_process() -> Iterator[RunningModelServer]:
    server, process = start_model_server()
    yield server
    process.terminate()
    process.wait(5)


@pytest.fixture
def model_server(model_server_process: RunningModelServer) -> RunningModelServer:
    """The session's server, reset."""
    model_server_process.reset()
    deadline = time.monotonic() + 5
    while model_server_process.stats()["in_flight"] and time.monotonic() < deadline:
        time.sleep(0.02)
    model_server_process.reset()
    return model_server_process
