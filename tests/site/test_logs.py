"""Logs can be read: the clock's ticks are left out, what goes wrong is not."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from afterimage_web.logs import tells_something


def line(logger: str, *args: Any, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord(logger, level, __file__, 1, "Task %(name)s", args, None)


@pytest.mark.parametrize("task", ["generation.tasks.tick", "datasets.tasks.tick", "generation.tasks.look_for_alerts"])
def test_a_tick_that_went_well_is_not_worth_a_line(task: str) -> None:
    assert not tells_something(line("celery.worker.strategy", {"name": task}))
    assert not tells_something(line("celery.app.trace", {"name": task}))
    assert not tells_something(line("celery.beat", "pull-runs", task))


def test_a_tick_that_failed_and_any_other_work_is() -> None:
    assert tells_something(line("celery.app.trace", {"name": "generation.tasks.tick"}, level=logging.ERROR))
    assert tells_something(line("celery.app.trace", {"name": "datasets.tasks.ingest_file"}))
    assert tells_something(line("celery.beat", level=logging.WARNING))
    assert tells_something(line("django.request"))
