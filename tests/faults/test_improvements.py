"""Improvements whose worker is killed, and one that is cancelled while calls are in flight."""

from __future__ import annotations

import pytest

from datasets.models import Version
from generation.models import Call, Improvement
from generation.services.improving import improvements
from generation.tasks import call_for_workers
from tests.faults.stage import Stage, wait_for
from tests.generation.improving import judged, ordered
from tests.workers import working

pytestmark = pytest.mark.slow


def made(improvement: Improvement) -> int:
    improvement.refresh_from_db()
    return improvement.made


def improving(stage: Stage, count: int) -> Improvement:
    rows = [judged(stage.project, f"Question {n}?", "An answer.", "And then?", "More.") for n in range(count)]
    improvement = ordered(stage.project, *rows, endpoint=stage.endpoint)
    call_for_workers(improvement)
    return improvement


def test_an_improvement_survives_kill_9_and_loses_or_doubles_no_proposal(stage: Stage) -> None:
    stage.server.control(latency=0.15)
    with working(beat=True, name="first") as worker:
        improvement = improving(stage, 24)
        wait_for(lambda: made(improvement) >= 6, within=30, what="that six proposals land")
        worker.kill()
    assert made(improvement) < 24
    assert improvement.items.filter(state="running").exists()

    with working(beat=True, name="second"):
        wait_for(lambda: made(improvement) == 24 and improvement.state == "done", within=60, what="that it is done")

    proposals = Version.objects.filter(conversation__project=stage.project, origin="improved")
    assert proposals.count() == proposals.values("conversation").distinct().count() == 24
    assert not improvement.items.exclude(state="proposed").exists()
    assert improvement.calls == Call.objects.filter(project=stage.project).count() == 24 * 4


def test_cancelling_reaches_the_worker_and_nothing_lands_afterwards(stage: Stage) -> None:
    stage.server.control(latency=1.0)
    with working(beat=True) as worker:
        improvement = improving(stage, 8)
        wait_for(lambda: stage.server.stats()["in_flight"] == 4, within=20, what="that four calls are in flight")
        improvements.cancel_improvement(improvement=improvement, user=stage.user)
        wait_for(lambda: stage.server.stats()["in_flight"] == 0, within=5, what="that the calls end")
        asked = stage.server.stats()["total"]
        worker.stop()
    assert stage.server.stats()["total"] == asked <= 8
    assert made(improvement) == 0
    assert set(improvement.items.values_list("state", flat=True)) == {"cancelled"}
