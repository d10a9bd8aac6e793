"""Workers, and the stage that they work on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from datasets import pulse
from generation.models import Run
from tests.faults.stage import Stage, wait_for
from tests.fixtures_model_server import RunningModelServer
from tests.workers import Worker, working

SHORT_LEASE = 3


@pytest.fixture(scope="session", autouse=True)
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


class Bench:
    """Where the one worker sits that many tests share, since starting one takes seconds."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._worker: Worker | None = None

    def seated(self) -> Worker:
        self._worker = self._worker or self._stack.enter_context(working(processes=2, beat=True, name="steady"))
        return self._worker

    def clear(self) -> None:
        self._stack.close()
        self._worker = None


@pytest.fixture(scope="session")
def bench(django_db_setup: None) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack)


@pytest.fixture
def steady_worker(bench: Bench) -> Worker:
    """A worker with the clock, for tests that do not harm it."""
    return bench.seated()


@pytest.fixture
def no_other_worker(bench: Bench) -> None:
    """For tests that start and kill workers of their own."""
    bench.clear()
