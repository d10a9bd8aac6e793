"""Embeddings by a SentenceTransformer on this machine: the extra `local-embeddings`."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
from array import array
from collections.abc import Sequence
from pathlib import Path

from generation.engine.errors import FatalError, TransientError

BATCH = 64
LONGEST_LINE = 64 * 1024 * 1024
"""Bytes of one answer: 64 vectors of 4,096 dimensions take 2 MB."""
KEPT = 600.0
"""Seconds for which models stay loaded after they were last asked."""
PATIENCE = 30.0
"""Seconds for the process that holds them to start, before any model is loaded."""
PROGRAM = Path(__file__).with_name("local_worker.py")


class LocalEmbedder:
    """One SentenceTransformer, by its name or the folder that it is in.

    Models are held by one process for all that meet in the same `place`, a folder of one user: who asks first starts it,
    and it outlives the event loop that asked, though not for long the process. Raises FatalError when the extra is not
    installed or the model cannot be loaded, TransientError when that process died.
    """

    def __init__(self, model: str, *, place: Path | None = None, batch: int = BATCH) -> None:
        self._model = model
        self._place = place
        self._batch = batch

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, in the order of the texts."""
        vectors: list[list[float]] = []
        for start in range(0, len(texts), self._batch):
            vectors += await self._part(list(texts[start : start + self._batch]))
        return vectors

    async def _part(self, texts: list[str]) -> list[list[float]]:
        place = self._place or usual_place()
        line = await _exchanged(place, json.dumps({"model": self._model, "texts": texts}))
        answer = json.loads(line)
        if "error" in answer:
            raise FatalError(answer["error"])
        return [_vector(said) for said in answer["vectors"]]


def usual_place() -> Path:
    """Where the processes of this installation and user meet. Raises FatalError when somebody else may be there."""
    installation = hashlib.sha256(f"{PROGRAM}\n{sys.executable}".encode()).hexdigest()[:12]
    place = Path(tempfile.gettempdir()) / f"afterimage-models-{os.getuid()}-{installation}"
    place.mkdir(mode=0o700, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise FatalError(f"Others than this user may write to {place}: remove it.")
    return place


async def _exchanged(place: Path, question: str) -> bytes:
    reader, writer = await _connected(place)
    try:
        writer.write(question.encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    except ConnectionError:
        line = b""
    finally:
        writer.close()
    if not line.endswith(b"\n"):
        raise TransientError(
            "The process of the local embedding models died, perhaps because the machine ran out of memory."
        )
    return line


async def _connected(place: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To the process that holds the models, which is started where there is none."""
    started: subprocess.Popen[bytes] | None = None
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    return await asyncio.open_unix_connection(place / "socket", limit=LONGEST_LINE)
                except (FileNotFoundError, ConnectionRefusedError):
                    if started is None or started.poll() is not None:
                        started = _start(place)
                    await asyncio.sleep(0.05)
    except TimeoutError:
        raise TransientError("The process of the local embedding models does not start.") from None


def _start(place: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", str(PROGRAM), str(place), str(os.getpid()), str(KEPT)]
    # In a session of its own, so that it does not take Ctrl-C for its own: it sees when its parent has ended.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=process.wait, daemon=True).start()  # or it would stay as a zombie
    return process


def _vector(said: str) -> list[float]:
    numbers = array("f")
    numbers.frombytes(base64.b64decode(said))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
