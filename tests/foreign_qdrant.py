"""Somebody else's Qdrant server, for tests: the vector process's API over TCP on loopback, in a process of its own.

    python -m tests.foreign_qdrant --port 7333 --key secret

It keeps nothing. POST /control changes how it behaves: `key` that it wants, `delay` seconds before each answer, and
`answer`, a text with which it answers everything; GET /control tells which requests changed something here.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from afterimage_web.embedded.vectors_http import application
from afterimage_web.embedded.vectors_store import Store

READING = ("/points/scroll", "/points/query", "/points/count", "/points")


class Manners:
    """How the server behaves at the moment, and what it was asked for."""

    def __init__(self, key: str) -> None:
        self.first = key
        self.reset()

    def reset(self) -> None:
        self.key, self.delay, self.answer = self.first, 0.0, ""
        self.written: list[str] = []
        self.asked: list[str] = []

    @web.middleware
    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/control":
            return await self._control(request)
        self._note(request)
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.key and request.headers.get("api-key") != self.key:
            return web.Response(status=401, text="Must provide an API key or an Authorization bearer token")
        return web.Response(text=self.answer) if self.answer else await handler(request)

    def _note(self, request: web.Request) -> None:
        reads = request.method == "GET" or (request.method == "POST" and request.path.endswith(READING))
        (self.asked if reads else self.written).append(f"{request.method} {request.path}")

    async def _control(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            told: dict[str, Any] = await request.json()
            self.reset()
            vars(self).update(told)
        return web.json_response({"written": self.written, "asked": self.asked})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.foreign_qdrant")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="afterimage-foreign-") as folder:
        app = application(Store(Path(folder)))
        app.middlewares.insert(0, Manners(options.key).handle)
        app.router.add_route("*", "/control", lambda request: web.Response())
        web.run_app(
            app,
            host="127.0.0.1",
            port=options.port,
            access_log=None,
            shutdown_timeout=0.1,
            print=lambda *_: print(f"Qdrant on http://127.0.0.1:{options.port}", flush=True),
        )


if __name__ == "__main__":
    main()
