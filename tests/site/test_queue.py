"""In which order workers get what waits for them."""

from __future__ import annotations

from queue import Empty
from typing import Any

import pytest
from kombu.simple import SimpleQueue

from afterimage_web.celery import app
from datasets import tasks as archive
from generation import tasks as press


def waiting() -> list[str]:
    """The tasks that lie in the queue, as a worker would take them."""
    names = []
    with app.connection_for_read() as connection, SimpleQueue(connection, "default") as queue:
        while True:
            try:
                message: Any = queue.get(block=False)
            except Empty:
                return names
            names.append(message.headers["task"].removesuffix("_file"))
            message.ack()


@pytest.mark.django_db(transaction=True)
def test_what_somebody_waits_for_passes_by_hundreds_of_files() -> None:
    waiting()
    for number in range(300):
        archive.ingest_file.delay(-number)
    archive.write_export.delay(-1)
    press.run_trial.delay(-1)
    press.tick.delay()
    first, second, third, *files = waiting()
    assert (first, second, third) == (
        "generation.tasks.run_trial",
        "generation.tasks.tick",
        "datasets.tasks.write_export",
    )
    assert files == ["datasets.tasks.ingest"] * 300
