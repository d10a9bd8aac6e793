"""Real Celery workers in processes of their own, which tests may kill and benches may weigh."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from django.conf import settings
from django.db import connection
from psycopg.conninfo import make_conninfo

from afterimage_web.celery import app

ROOT = Path(__file__).resolve().parent.parent


def addresses() -> dict[str, str]:
    """This process's own services, test database and files, as the environment of another process."""
    database = connection.settings_dict
    conninfo = make_conninfo(
        dbname=database["NAME"], user=database["USER"], password=database["PASSWORD"], host=database["HOST"],
        port=database["PORT"] or None,
    )  # fmt: skip
    return {
        "DATABASE_URL": conninfo,
        "REDIS_URL": settings.REDIS_URL,
        "QDRANT_URL": settings.QDRANT_URL,
        "AFTERIMAGE_DATA": str(settings.DATA_DIR),
        "SECRET_KEY": settings.SECRET_KEY,
        "ENCRYPTION_KEYS": ",".join(settings.ENCRYPTION_KEYS),
        "DJANGO_SETTINGS_MODULE": "afterimage_web.settings",
    }


class Worker:
    """One `celery worker` with its children."""

    def __init__(
        self, *, queues: str = "press,default", processes: int = 1, beat: bool = False, name: str = "w"
    ) -> None:
        command = [sys.executable, "-m", "celery", "-A", "afterimage_web", "worker", "-Q", queues, "-c", str(processes)]
        command += ["-n", f"{name}@%h", "--without-gossip", "--without-mingle", "-l", "WARNING"]
        schedule = Path(settings.DATA_DIR) / f"beat-{name}-{os.getpid()}"
        command += ["-B", "-s", str(schedule)] if beat else []
        self.process = subprocess.Popen(command, cwd=ROOT, env=os.environ | addresses(), start_new_session=True)
        self._await(f"{name}@{socket.gethostname()}")

    def _await(self, node: str) -> None:
        deadline = time.monotonic() + 60
        while not app.control.ping(destination=[node], timeout=0.3):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("The worker did not start.")

    @property
    def processes(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """User and system CPU of the worker and its children so far."""
        return sum(times.user + times.system for times in (process.cpu_times() for process in self.processes))

    def memory(self) -> int:
        """Bytes that the worker and its children hold for themselves."""
        return sum(process.memory_full_info().uss for process in self.processes)

    def kill(self) -> None:
        """`kill -9` of the worker with its children, as when the machine runs out of memory."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
        self.kill()


@contextlib.contextmanager
def working(**options: object) -> Iterator[Worker]:
    """A worker that is killed in the end: to ask it to stop takes seconds, and is a test of its own."""
    worker = Worker(**options)
    try:
        yield worker
    finally:
        worker.kill()
