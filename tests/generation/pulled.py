"""Runs that are worked on within the test, by the very function that workers call."""

from __future__ import annotations

import time

from generation.models import Run
from generation.services.running.pulling import RUNS


def pulled(run: Run, *, within: float = 30.0) -> Run:
    """The run after it has been worked on until it runs no more. Needs a database whose rows are committed."""
    ends = time.monotonic() + within
    run.refresh_from_db()
    while run.state == Run.State.RUNNING:
        if time.monotonic() > ends:
            raise AssertionError(f"The run still runs after {within} s: {run.slots_done} of {run.slots_total} made.")
        RUNS.pull(run.pk)
        run.refresh_from_db()
    return run
