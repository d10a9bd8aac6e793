"""What is worth a line in the logs."""

from __future__ import annotations

import logging

ROUTINE = ("celery.beat", "celery.worker.strategy", "celery.app.trace")


def tells_something(record: logging.LogRecord) -> bool:
    """Not that the clock ticked, which it does forty times a minute, as long as nothing went wrong with it."""
    if record.levelno > logging.INFO or record.name not in ROUTINE:
        return True
    return record.name != "celery.beat" and not _task(record).endswith((".tick", ".look_for_alerts"))


def _task(record: logging.LogRecord) -> str:
    """The task that Celery's line is about."""
    return str(record.args.get("name", "")) if isinstance(record.args, dict) else ""
