"""The `foreign` fixture: somebody else's Qdrant server in a process of its own, as a pytest plugin."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from qdrant_client import QdrantClient

from tests.fixtures_model_server import ROOT, free_port


class ForeignQdrant:
    """A handle on the server. What is asked through it is not noted as written by others."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def control(self, **manners: Any) -> None:
        """Behave so from now on: key, delay, answer; nothing noted."""
        self._call("POST", "/control", manners)

    def noted(self) -> dict[str, list[str]]:
        """Requests since the last `control`: {"written": […], "asked": […]}."""
        return self._call("GET", "/control")

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._call(method, path, body)["result"]

    def clear(self) -> None:
        self.control()
        for each in self.request("GET", "/collections")["collections"]:
            self.request("DELETE", f"/collections/{each['name']}")
        self.control()

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)


@pytest.fixture(scope="session")
def foreign_process() -> Iterator[ForeignQdrant]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.foreign_qdrant", "--port", str(port)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if "Qdrant on" not in line:
        process.kill()
        raise RuntimeError(f"The foreign server did not start: {line!r}")
    yield ForeignQdrant(port)
    process.terminate()
    process.wait(5)


@pytest.fixture
def foreign(foreign_process: ForeignQdrant) -> ForeignQdrant:
    """The session's server, well-behaved and empty."""
    foreign_process.clear()
    return foreign_process


@pytest.fixture
def qdrant(foreign: ForeignQdrant) -> Iterator[QdrantClient]:
    """Qdrant's own client: how somebody else fills the server."""
    client = QdrantClient(foreign.url, timeout=20, check_compatibility=False)
    yield client
    client.close()
