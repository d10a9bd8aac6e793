"""Which worker processes are at an order of work, such as a run, right now, so that they share its concurrency.

Kept in Redis while it is fresh. Losing this board costs nothing but a moment of uneven sharing: claims are leases in the database.
"""

from __future__ import annotations

import math
import os
import socket
import time
import uuid

from datasets.pulse import board
from generation.models.work import Costed

FRESH = 6
"""Seconds for which a puller counts after its last sign."""
TROUBLED = 12
"""Seconds for which an error that is tried again is shown, unless it comes again."""
LONGEST_REST = 20
"""Seconds for which an order rests at most before it asks for a key again."""
DIALOGS_A_PULLER = 64
"""More dialogs in flight than this are worth a second worker process."""


def _key(order: Costed, what: str) -> str:
    return f"{order._meta.model_name}:{order.pk}:{what}"


def trouble_of(order: Costed) -> str:
    """What a worker has just been refused and tries again; empty when all goes well."""
    said = board().get(_key(order, "trouble"))
    return said.decode() if isinstance(said, bytes) else ""


def tell(order: Costed, trouble: str) -> None:
    """Show on its page what is being tried again."""
    board().set(_key(order, "trouble"), trouble, ex=TROUBLED)


def rest(order: Costed, seconds: float, why: str) -> None:
    """Have nobody begin anything of it for so long, and say why on its page.

    After `LONGEST_REST` it is tried again all the same: somebody may have added a key or raised a limit meanwhile.
    """
    whole = max(1, min(LONGEST_REST, math.ceil(seconds)))
    board().set(_key(order, "rest"), why, ex=whole)
    board().set(_key(order, "trouble"), why, ex=whole + TROUBLED)


def wake(order: Costed) -> None:
    """Somebody wants it to go on now."""
    board().delete(_key(order, "rest"))


def rests(order: Costed) -> bool:
    return bool(board().exists(_key(order, "rest")))


def pullers_wanted(concurrency: int) -> int:
    return math.ceil(concurrency / DIALOGS_A_PULLER)


def pullers_of(order: Costed) -> int:
    return board().zcount(_key(order, "pullers"), time.time() - FRESH, "+inf")


class Puller:
    """One worker process at work on one order."""

    def __init__(self, order: Costed) -> None:
        self._order = order
        self.name = uuid.uuid4().hex
        self._trouble = ""

    def hear(self, trouble: str) -> None:
        """An error that is tried again; it is told with the next sign of life."""
        self._trouble = trouble

    def share(self, concurrency: int) -> int:
        """How many dialogs this process may have in flight, and a sign that it is alive."""
        pipe = board().pipeline()
        if self._trouble:
            pipe.set(_key(self._order, "trouble"), self._trouble, ex=TROUBLED)
            self._trouble = ""
        pipe.zadd(_key(self._order, "pullers"), {self.name: time.time()})
        pipe.zremrangebyscore(_key(self._order, "pullers"), "-inf", time.time() - FRESH)
        pipe.zcard(_key(self._order, "pullers"))
        pipe.expire(_key(self._order, "pullers"), 60)
        *_, count, _ = pipe.execute()
        return math.ceil(concurrency / max(1, count))

    def leave(self) -> None:
        board().zrem(_key(self._order, "pullers"), self.name)


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
