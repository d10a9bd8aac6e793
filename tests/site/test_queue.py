"""In which order workers get what waits for them."""

from __future__ import annotations

import pytest

from datasets import tasks as archive
from generation import tasks as press
from tests.queued import taken


@pytest.mark.django_db(transaction=True)
def test_what_somebody_waits_for_passes_by_hundreds_of_files() -> None:
    taken()
    for number in range(300):
        archive.ingest_file.delay(-number)
    archive.write_export.delay(-1)
    press.run_trial.delay(-1)
    press.tick.delay()
    first, second, third, *files = taken()
    assert (first, second) == ("generation.tasks.run_trial", "generation.tasks.tick")
    assert third == "datasets.tasks.write_export"
    assert files == ["datasets.tasks.ingest_file"] * 300
