"""Workers, and the stage that they work on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.utils import timezone

from datasets import pulse
from generation.models import Run, Slot
from tests.faults.stage import Stage, wait_for
from tests.fixtures_model_server import RunningModelServer
from tests.workers import Worker, working

SHORT_LEASE = 3


@pytest.fixture(scope="module", autouse=True)
def short_leases() -> Iterator[None]:
    """For the workers that are started from here: what a killed one held is open again after three seconds."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SLOT_LEASE_SECONDS", str(SHORT_LEASE))
        yield


@pytest.fixture
def stage(transactional_db: None, model_server: RunningModelServer) -> Iterator[Stage]:
    for queue in ("press", "default"):
        pulse.board().delete(queue)
    yield Stage(model_server)
    Run.objects.filter(state="running").update(state="cancelled")  # so that the next test finds idle workers
    wait_for(lambda: model_server.stats()["in_flight"] == 0, within=10, what="that all calls end")
    running = Slot.objects.filter(state="running", lease_until__gt=timezone.now())
    wait_for(lambda: not running.exists(), within=10, what="that all claims have ended")


@pytest.fixture(scope="module")
def steady_worker(django_db_setup: None) -> Iterator[Worker]:
    """One worker with the clock for the tests of a module that do not harm it: starting one takes seconds."""
    with working(processes=2, beat=True, name="steady") as worker:
        yield worker
