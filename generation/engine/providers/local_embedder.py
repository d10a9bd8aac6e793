"""Embeddings by a SentenceTransformer on this machine, in processes of their own: the extra `local-embeddings`."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from typing import Any, Self

from generation.engine.errors import FatalError, TransientError

BATCH = 64


class LocalEmbedder:
    """One SentenceTransformer, by its name or the folder that it is in, loaded once a process when it is first needed.

    Use it as an async context manager: the processes end with the block. Raises FatalError when the extra is not
    installed or the model cannot be loaded, TransientError when a process died.
    """

    def __init__(self, model: str, *, workers: int = 1, batch: int = BATCH) -> None:
        self._model = model
        self._workers = workers
        self._batch = batch
        self._pool = self._new_pool()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Drops what waits, lets what is being embedded end, and ends the processes."""
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, in the order of the texts."""
        pool, loop = self._pool, asyncio.get_running_loop()
        parts = [list(texts[start : start + self._batch]) for start in range(0, len(texts), self._batch)]
        try:
            made = await asyncio.gather(*(loop.run_in_executor(pool, _encode, self._model, part) for part in parts))
        except BrokenProcessPool:
            self._replace(pool)
            raise TransientError(
                "A process of the local embedding model died, perhaps because the machine ran out of memory."
            ) from None
        return [vector for part in made for vector in part]

    def _new_pool(self) -> ProcessPoolExecutor:
        # Not forked: neither an event loop nor the threads of a tensor library survive that.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._workers, context, initializer=_begin, initargs=(self._workers,))

    def _replace(self, broken: ProcessPoolExecutor) -> None:
        """A pool that lost a process takes no more work. Whoever of several callers notices first makes the next one."""
        if self._pool is broken:
            broken.shutdown(wait=False)
            self._pool = self._new_pool()


# -- in the processes ------------------------------------------------------------------------------------------------


def _begin(workers: int) -> None:
    # As many threads as leave the other processes theirs.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool's processes wait for work for ever, also for a parent that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _encode(model: str, texts: list[str]) -> list[list[float]]:
    return _loaded(model).encode(texts, show_progress_bar=False, convert_to_numpy=True).astype("float32").tolist()


@cache
def _loaded(model: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise FatalError(
            "Embeddings on this machine need the extra “local-embeddings”: "
            'install it on the workers with pip install "afterimage-web[local-embeddings]".'
        ) from None
    try:
        return SentenceTransformer(model, device="cpu")
    except Exception as error:
        # Whatever a missing or broken model raises in there, often with pages of advice.
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise FatalError(f"The embedding model “{model}” cannot be loaded: {reason[:300]}") from None
