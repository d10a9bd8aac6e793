"""The collections of one data folder, each a Qdrant Edge shard, and what keeps them safe and quick.

Every Edge call holds Python's global lock until it returns, so threads would gain nothing: one event loop makes all the
calls, which is also why no query can meet a half-made change. Long work is cut up (a write goes in small steps, queries
pass between them) or left to a child process (optimising, on a copy).

    DIR/NAME/collection.json    the vectors' schema and the name of the shard folder that counts; replaced in one step
    DIR/NAME/shard-…/           Edge's own files
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import shutil
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import qdrant_edge as edge

from afterimage_web.embedded import vectors_wire as wire
from afterimage_web.embedded.vectors_optimize import NOTHING_TO_DO, OPTIMIZED

log = logging.getLogger("vectors")

NAMES = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,200}")
STEP = 100
"""Points written in one Edge call: about ten milliseconds, the longest that a query waits for a write."""
IDLE = 2.0
"""Seconds without a write after which a collection is flushed and, when enough has changed, optimised."""
LONGEST_UNFLUSHED = 30.0
"""Seconds of unbroken writing after which it is flushed all the same, so that a restart has little to replay."""
OPTIMIZE_AFTER = 5_000
"""Points written or deleted since the last optimisation: with fewer, a full scan is as quick as an index."""


class Collection:
    """One collection. Its shard is loaded when it is first needed."""

    def __init__(self, folder: Path, schema: wire.Body, shard_name: str) -> None:
        self.folder = folder
        self.schema = schema
        self.writes = 0
        self._shard_name = shard_name
        self._shard: edge.EdgeShard | None = None
        self._writing = asyncio.Lock()
        self._optimizer: asyncio.subprocess.Process | None = None
        self._changed = 0
        self._last_write = self._last_flush = time.monotonic()
        self._dirty = self._removed = False

    @classmethod
    def create(cls, folder: Path, schema: wire.Body) -> Self:
        """A new, empty collection. It exists once its collection.json does."""
        name = _new_shard_name()
        (folder / name).mkdir(parents=True)
        try:
            shard = edge.EdgeShard.create(str(folder / name), wire.edge_config(schema))
        except BaseException:
            shutil.rmtree(folder)
            raise
        collection = cls(folder, schema, name)
        collection._shard = shard
        collection._save()
        return collection

    @classmethod
    def found(cls, folder: Path) -> Self:
        """The collection of an earlier process, rid of what that one left unfinished."""
        saved = json.loads((folder / "collection.json").read_text())
        for leftover in folder.glob("shard-*"):
            if leftover.name != saved["shard"]:
                shutil.rmtree(leftover, ignore_errors=True)
        return cls(folder, saved["schema"], saved["shard"])

    @property
    def shard(self) -> edge.EdgeShard:
        if self._removed:  # while this request waited for another one
            raise not_found(self.folder.name)
        if self._shard is None:
            self._shard = edge.EdgeShard.load(str(self.folder / self._shard_name))
            info = self._shard.info()
            vectors = info.points_count * (len(self.schema["vectors"]) + len(self.schema["sparse_vectors"]))
            self._changed = max(0, vectors - info.indexed_vectors_count)
        return self._shard

    @property
    def optimizing(self) -> bool:
        return self._optimizer is not None

    async def write(self, operations: Iterable[edge.UpdateOperation], upserted: int) -> None:
        """Apply the operations in order; queries pass between two of them, other writes do not.

        When this returns, all of it outlives kill -9: Edge has it in its write-ahead log.
        """
        async with self._writing:
            self._touch()
            before = self.shard.info().points_count
            for operation in operations:
                self.shard.update(operation)
                await asyncio.sleep(0)
            self._changed += upserted + max(0, before - self.shard.info().points_count)
            self._last_write = time.monotonic()

    def _touch(self) -> None:
        self._stop_optimizer()  # its copy is now out of date
        if not self._dirty:
            self._last_flush = time.monotonic()
        self.writes += 1
        self._dirty = True

    def flush_if_due(self) -> None:
        now = time.monotonic()
        if self._dirty and (self._idle() or now - self._last_flush > LONGEST_UNFLUSHED):
            self.flush()

    def flush(self) -> None:
        if self._dirty:
            self.shard.flush()
            self._last_flush = time.monotonic()
            self._dirty = False

    def wants_optimizing(self) -> bool:
        return self._changed >= OPTIMIZE_AFTER and not self._dirty and self._idle()

    def _idle(self) -> bool:
        return not self._writing.locked() and time.monotonic() - self._last_write > IDLE

    async def optimize(self) -> None:
        """Let a child process copy and optimise the flushed shard, then take that copy, unless written to meanwhile."""
        writes, fresh = self.writes, _new_shard_name()
        source, target = self.folder / self._shard_name, self.folder / fresh
        self._optimizer = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "afterimage_web.embedded.vectors_optimize", source, target
        )
        try:
            outcome = await self._optimizer.wait()
            if self.writes == writes:
                self._changed = 0
                self._take(fresh, outcome)
        finally:
            self._stop_optimizer()
            await self._optimizer.wait()
            self._optimizer = None
            for folder in (source, target):
                if folder.name != self._shard_name:
                    shutil.rmtree(folder, ignore_errors=True)

    def _take(self, name: str, outcome: int) -> None:
        if outcome == OPTIMIZED:
            fresh = edge.EdgeShard.load(str(self.folder / name))
            self.close()
            self._shard, self._shard_name = fresh, name
            self._save()
        elif outcome != NOTHING_TO_DO:
            log.warning("Optimising %s failed (exit code %s); it goes on as it is.", self.folder.name, outcome)

    def _stop_optimizer(self) -> None:
        if self._optimizer:
            with suppress(ProcessLookupError):
                self._optimizer.kill()

    def _save(self) -> None:
        draft = self.folder / "collection.draft"
        draft.write_text(json.dumps({"shard": self._shard_name, "schema": self.schema}))
        draft.replace(self.folder / "collection.json")

    def close(self) -> None:
        if self._shard is not None:
            self._shard.flush()
            self._shard.close()
            self._shard = None

    def remove(self) -> None:
        """Forget everything. The folder is renamed first, so that a crash leaves no half collection."""
        self._touch()
        self._removed = True
        if self._shard is not None:
            self._shard.close()
        doomed = self.folder.rename(self.folder.with_name(f".removed-{uuid.uuid4().hex}"))
        shutil.rmtree(doomed, ignore_errors=True)


class Store:
    """All collections of a data folder. Only the holder of that folder's lock may make one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.collections: dict[str, Collection] = {}
        for found in folder.iterdir():
            if NAMES.fullmatch(found.name) and (found / "collection.json").exists():
                self.collections[found.name] = Collection.found(found)
            else:
                shutil.rmtree(found, ignore_errors=True)

    def get(self, name: str) -> Collection:
        """Raises Refused (404) for an unknown name."""
        if name not in self.collections:
            raise not_found(name)
        return self.collections[name]

    def create(self, name: str, schema: wire.Body) -> None:
        if name in self.collections:
            raise wire.Refused(f"Wrong input: Collection `{name}` already exists!", 409)
        if not NAMES.fullmatch(name):
            raise wire.Refused("Wrong input: a collection's name has letters, digits, '_', '-' and '.' only")
        self.collections[name] = Collection.create(self.folder / name, schema)

    def remove(self, name: str) -> bool:
        collection = self.collections.pop(name, None)
        if collection:
            collection.remove()
        return collection is not None

    async def keep_flushed(self) -> None:
        """Flush what has come to rest, for ever."""
        while True:
            await asyncio.sleep(IDLE / 4)
            for collection in list(self.collections.values()):
                with _logged(collection):
                    collection.flush_if_due()

    async def keep_optimized(self) -> None:
        """Optimise what has come to rest, for ever, one collection at a time."""
        while True:
            await asyncio.sleep(IDLE / 4)
            for collection in list(self.collections.values()):
                if collection.wants_optimizing():
                    with _logged(collection):
                        await collection.optimize()

    def close(self) -> None:
        for collection in self.collections.values():
            collection.close()


def not_found(name: str) -> wire.Refused:
    return wire.Refused(f"Not found: Collection `{name}` doesn't exist!", 404)


@contextmanager
def _logged(collection: Collection) -> Iterator[None]:
    """A full disk, say, must not end the upkeep of the other collections."""
    try:
        yield
    except Exception:
        log.exception("The upkeep of collection %s failed; it is tried again.", collection.folder.name)


def _new_shard_name() -> str:
    return f"shard-{uuid.uuid4().hex}"
