"""Which worker processes pull a run right now, so that they share its concurrency. Kept in Redis while it is fresh.

Losing this board costs nothing but a moment of uneven sharing: claims are leases in the database.
"""

from __future__ import annotations

import math
import os
import socket
import time
import uuid

from datasets.pulse import board

FRESH = 6
"""Seconds for which a puller counts after its last sign."""
TROUBLED = 12
"""Seconds for which an error that is tried again is shown, unless it comes again."""
LONGEST_REST = 20
"""Seconds for which a run rests at most before it asks for a key again."""
DIALOGS_A_PULLER = 64
"""More dialogs in flight than this are worth a second worker process."""


def _key(run_id: int | str) -> str:
    return f"run:{run_id}:pullers"


def _trouble_key(run_id: int | str) -> str:
    return f"run:{run_id}:trouble"


def _rest_key(run_id: int) -> str:
    return f"run:{run_id}:rest"


def trouble_of(run_id: int | str) -> str:
    """What a worker of the run has just been refused and tries again; empty when all goes well."""
    said = board().get(_trouble_key(run_id))
    return said.decode() if isinstance(said, bytes) else ""


def tell(run_id: int, trouble: str) -> None:
    """Show on the run's page what is being tried again."""
    board().set(_trouble_key(run_id), trouble, ex=TROUBLED)


def rest(run_id: int, seconds: float, why: str) -> None:
    """Have nobody begin anything of the run for so long, and say why on its page.

    After `LONGEST_REST` it is tried again all the same: somebody may have added a key or raised a limit meanwhile.
    """
    whole = max(1, min(LONGEST_REST, math.ceil(seconds)))
    board().set(_rest_key(run_id), why, ex=whole)
    board().set(_trouble_key(run_id), why, ex=whole + TROUBLED)


def wake(run_id: int) -> None:
    """Somebody wants it to go on now."""
    board().delete(_rest_key(run_id))


def rests(run_id: int) -> bool:
    return bool(board().exists(_rest_key(run_id)))


def pullers_wanted(concurrency: int) -> int:
    return math.ceil(concurrency / DIALOGS_A_PULLER)


def pullers_of(run_id: int | str) -> int:
    return board().zcount(_key(run_id), time.time() - FRESH, "+inf")


class Puller:
    """One worker process at work on one run."""

    def __init__(self, run_id: int | str) -> None:
        self.run_id = run_id
        self.name = uuid.uuid4().hex
        self._trouble = ""

    def hear(self, trouble: str) -> None:
        """An error that is tried again; it is told with the next sign of life."""
        self._trouble = trouble

    def share(self, concurrency: int) -> int:
        """How many dialogs this process may have in flight, and a sign that it is alive."""
        pipe = board().pipeline()
        if self._trouble:
            pipe.set(_trouble_key(self.run_id), self._trouble, ex=TROUBLED)
            self._trouble = ""
        pipe.zadd(_key(self.run_id), {self.name: time.time()})
        pipe.zremrangebyscore(_key(self.run_id), "-inf", time.time() - FRESH)
        pipe.zcard(_key(self.run_id))
        pipe.expire(_key(self.run_id), 60)
        *_, count, _ = pipe.execute()
        return math.ceil(concurrency / max(1, count))

    def leave(self) -> None:
        board().zrem(_key(self.run_id), self.name)


# -- shutting down ------------------------------------------------------------------------------------------------------


def _closing_key(parent: int) -> str:
    return f"closing:{socket.gethostname()}:{parent}"


def announce_open() -> None:
    """Said by a worker's parent process when it starts: in a container it has the number of the one before it."""
    board().delete(_closing_key(os.getpid()))


def announce_closing() -> None:
    """Said by a worker's parent process when it is asked to stop, so that its children give their claims back."""
    board().set(_closing_key(os.getpid()), 1, ex=120)


def is_closing() -> bool:
    """Whether the parent of this worker process has been asked to stop."""
    return bool(board().exists(_closing_key(os.getppid())))
