"""Growing personas by real workers, which are killed while they are at it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from datasets import pulse
from generation.models import Call, PersonaBranch, PersonaGrowth
from generation.tasks import call_for_workers
from tests.faults.stage import Stage, wait_for
from tests.fixtures_model_server import RunningModelServer
from tests.generation.growing import documents, ordered
from tests.workers import working

pytestmark = pytest.mark.slow


@pytest.fixture
def stage(transactional_db: None, model_server: RunningModelServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """What a killed worker held is open again after three seconds."""
    monkeypatch.setenv("SLOT_LEASE_SECONDS", "3")
    for queue in ("press", "default"):
        pulse.board().delete(queue)
    yield Stage(model_server)
    PersonaGrowth.objects.filter(state="running").update(state="cancelled")


def begun(stage: Stage, number: int, **more: int) -> PersonaGrowth:
    corpus = documents(stage.project, *map(str, range(number)))
    growth = ordered(stage.project, corpus, stage.user, stage.endpoint, **more)
    call_for_workers(growth)
    return growth


def done(growth: PersonaGrowth) -> int:
    return growth.branches.filter(state=PersonaBranch.State.DONE).count()


def state_of(growth: PersonaGrowth) -> str:
    growth.refresh_from_db()
    return growth.state


def test_a_growth_survives_kill_9_and_makes_every_branch_exactly_once(stage: Stage) -> None:
    stage.server.control(latency=0.5)
    with working(beat=True, name="first") as worker:
        growth = begun(stage, 6, depth=1, concurrency=4)
        running = growth.branches.filter(state=PersonaBranch.State.RUNNING)
        wait_for(lambda: done(growth) >= 8 and running.exists(), within=20, what="that eight branches are done")
        worker.kill()
    assert done(growth) < 36
    assert running.exists()

    with working(beat=True, name="second"):
        wait_for(lambda: state_of(growth) == "done", within=40, what="that it is done")

    assert Counter(growth.branches.values_list("state", flat=True)) == {"done": 36}
    assert Counter(stage.project.personas.values_list("depth", flat=True)) == {0: 30, 1: 150}
    assert growth.personas == stage.project.personas.count() == 180
    assert growth.calls == Call.objects.filter(project=stage.project).count() == 36
    children = Counter(stage.project.personas.exclude(parent=None).values_list("parent", flat=True))
    assert set(children.values()) == {5}
    assert stage.server.stats()["peak_in_flight"] <= 4


def test_a_worker_that_is_asked_to_stop_gives_its_branches_back_at_once(stage: Stage) -> None:
    stage.server.control(latency=2.0)
    with working() as worker:
        growth = begun(stage, 5, concurrency=3)
        wait_for(lambda: stage.server.stats()["in_flight"] == 3, within=10, what="that three calls are in flight")
        worker.process.terminate()
        running = growth.branches.filter(state=PersonaBranch.State.RUNNING)
        wait_for(lambda: not running.exists(), within=2.5, what="that the branches are given back")
        assert worker.process.wait(10) == 0
    assert Counter(growth.branches.values_list("state", "attempts")) == {("pending", 0): 5}
    assert state_of(growth) == "running"
