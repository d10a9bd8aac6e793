"""What waits in the queue for workers, of whom there are none."""

from __future__ import annotations

from queue import Empty
from typing import Any

from kombu.simple import SimpleQueue

from afterimage_web.celery import app


def taken() -> list[str]:
    """The names of the tasks that lie in the queue `default`, in the order in which a worker would take them; they are
    gone then."""
    names = []
    with app.connection_for_read() as connection, SimpleQueue(connection, "default") as queue:
        while True:
            try:
                message: Any = queue.get(block=False)
            except Empty:
                return names
            names.append(message.headers["task"])
            message.ack()
