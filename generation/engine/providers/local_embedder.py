"""Embeddings by a SentenceTransformer on this machine, in processes of their own: the extra `local-embeddings`."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from array import array
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from generation.engine.errors import FatalError, TransientError

BATCH = 64
LONGEST_LINE = 64 * 1024 * 1024
"""Bytes of one answer: 64 vectors of 4,096 dimensions take 2 MB."""
ROOT = Path(__file__).resolve().parents[3]


class LocalEmbedder:
    """One SentenceTransformer, by its name or the folder that it is in, loaded once a process when it is first needed.

    Plain processes with pipes rather than a pool of `multiprocessing`, which may not be used inside a worker of Celery.
    Use it as an async context manager: the processes end with the block, and with a parent that is killed. Raises
    FatalError when the extra is not installed or the model cannot be loaded, TransientError when a process died.
    """

    def __init__(self, model: str, *, workers: int = 1, batch: int = BATCH) -> None:
        self._model = model
        self._workers = workers
        self._batch = batch
        self._free: asyncio.Queue[Process | None] | None = None
        self._running: set[Process] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the processes, and with them whatever they are at."""
        for process in list(self._running):
            await self._end(process)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, in the order of the texts."""
        parts = [list(texts[start : start + self._batch]) for start in range(0, len(texts), self._batch)]
        made = await asyncio.gather(*(self._part(part) for part in parts))
        return [vector for part in made for vector in part]

    async def _part(self, texts: list[str]) -> list[list[float]]:
        line = await self._asked(json.dumps({"texts": texts}))
        answer = json.loads(line)
        if "error" in answer:
            raise FatalError(answer["error"])
        return [_vector(said) for said in answer["vectors"]]

    async def _asked(self, question: str) -> bytes:
        """The answer of whichever process is free next."""
        free = self._places()
        process = await free.get()
        try:
            process = process or await self._start()
            line = await _exchange(process, question)
        except BaseException:  # cancelled in the middle too: what it would answer next is not for whoever asks next
            if process:
                await asyncio.shield(self._end(process))
            free.put_nowait(None)
            raise
        free.put_nowait(process)
        return line

    def _places(self) -> asyncio.Queue[Process | None]:
        """Processes that wait for work, and None for each that there may be besides."""
        if self._free is None:
            self._free = asyncio.Queue()
            for _ in range(self._workers):
                self._free.put_nowait(None)
        return self._free

    async def _start(self) -> Process:
        # As many threads as leave the other processes theirs.
        threads = str(max(1, (os.cpu_count() or 1) // self._workers))
        command = [sys.executable, "-m", "generation.engine.providers.local_worker", self._model]
        environment = {"OMP_NUM_THREADS": threads} | os.environ | {"PYTHONPATH": str(ROOT)}
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, env=environment, limit=LONGEST_LINE
        )
        self._running.add(process)
        return process

    async def _end(self, process: Process) -> None:
        self._running.discard(process)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _exchange(process: Process, question: str) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(question.encode() + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
    except ConnectionError:
        line = b""
    if not line.endswith(b"\n"):
        raise TransientError(
            "A process of the local embedding model died, perhaps because the machine ran out of memory."
        )
    return line


def _vector(said: str) -> list[float]:
    numbers = array("f")
    numbers.frombytes(base64.b64decode(said))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
