"""The process that holds the embedding models of this machine, for all processes of one user that ask it.

    python -P local_worker.py FOLDER PARENT SECONDS

It listens at FOLDER/socket; of several that are started there, one stays. In: {"model": "…", "texts": ["…"]} as a line of
JSON. Out: {"vectors": ["…"]}, each the base64 of little-endian float32 numbers, or {"error": "…"}. It ends when nobody has
asked for so many seconds, and as soon as it is at nothing and PARENT, the process that started it, has ended.

It is run by its path and imports nothing of the package, so that it listens at once.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

MODELS = 2
"""Held at once, those that were asked last: each takes hundreds of megabytes."""
LONGEST_LINE = 64 * 1024 * 1024
NOT_INSTALLED = (
    "Embeddings on this machine need the extra “local-embeddings”: "
    'install it for every worker with pip install ".[local-embeddings]" in the folder of AfterImage.'
)


class Desk:
    """Who asks at the moment, and when somebody last did. Questions are answered one after another, in a thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._asking = 0
        self._last = time.monotonic()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._asking += 1
        try:
            if line := await reader.readline():
                answer = await asyncio.get_running_loop().run_in_executor(self._thread, _answered, json.loads(line))
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            pass  # whoever asked waits no longer
        finally:
            self._asking -= 1
            self._last = time.monotonic()
            writer.close()

    async def until_unused(self, parent: int, seconds: float) -> None:
        while self._asking or (os.getppid() == parent and time.monotonic() - self._last < seconds):
            await asyncio.sleep(0.25)


async def serve(folder: Path, parent: int, seconds: float) -> None:
    desk = Desk()
    async with await asyncio.start_unix_server(desk.answer, folder / "socket", limit=LONGEST_LINE):
        await desk.until_unused(parent, seconds)


def main(folder: Path, parent: int, seconds: float) -> None:
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another one serves here
            return
        asyncio.run(serve(folder, parent, seconds))


def _answered(question: dict[str, Any]) -> dict[str, Any]:
    name = question["model"]
    try:
        model = _loaded(name)
    except ImportError:
        return {"error": NOT_INSTALLED}
    except Exception as error:  # whatever a missing or broken model raises in there, often with pages of advice
        return {"error": f"The embedding model “{name}” cannot be loaded: {_reason(error)}"}
    try:
        return {"vectors": _encoded(model, question["texts"])}
    except Exception as error:
        return {"error": f"The embedding model “{name}” broke off: {_reason(error)}"}


@lru_cache(MODELS)
def _loaded(name: str) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(name, device="cpu")


def _encoded(model: Any, texts: list[str]) -> list[str]:
    vectors = model.encode(texts, show_progress_bar=False, convert_to_numpy=True).astype("<f4")
    return [base64.b64encode(vector.tobytes()).decode() for vector in vectors]


def _reason(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
