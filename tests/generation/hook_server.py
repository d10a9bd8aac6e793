"""A real web server on this machine that webhooks are posted to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Posted:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HookServer:
    """What it was sent; `answers` are the statuses of the next answers, 204 once they are used up."""

    port: int = 0
    posted: list[Posted] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    says: bytes = b""
    waits: float = 0
    before_answering: Callable[[], None] = lambda: None

    def url(self, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/hook"


def _handler(state: HookServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.posted.append(Posted(self.path, headers, body))
            state.before_answering()
            time.sleep(state.waits)
            self.send_response(state.answers.pop(0) if state.answers else 204)
            self.send_header("location", f"http://127.0.0.1:{state.port}/elsewhere")
            self.end_headers()
            self.wfile.write(state.says)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def hooks() -> Iterator[HookServer]:
    state = HookServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.handle_error = lambda *_: None  # clients that are killed or give up are part of the tests
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
