"""The whole application on one machine: which processes it takes, and in which order they start."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from afterimage_web.embedded.addresses import EmbeddedError

if TYPE_CHECKING:
    from afterimage_web.embedded.programs import WebAddress
    from afterimage_web.embedded.supervisor import Child, Supervisor

# The settings import this module: what takes time to import is imported where it is needed.

PATIENCE = 30.0
"""Seconds for which a command waits for the services of an `up` that may just be starting."""


@dataclass(frozen=True)
class Stack:
    """What runs: our own processes under a supervisor, or, without one, those of somebody else."""

    supervisor: Supervisor | None

    def check(self) -> None:
        """Raise EmbeddedError if one of our processes had to be given up; call it in a loop that waits for work."""
        if self.supervisor:
            self.supervisor.check()


@contextmanager
def running(data_dir: Path, *, workers: bool, say: Callable[[str], None] = print) -> Iterator[Stack]:
    """The services of `data_dir`, and workers if wanted: those of a running `up`, or else our own for as long as this lasts.

    Servers named in DATABASE_URL, REDIS_URL or QDRANT_URL are used instead of our own. Our own database is migrated.
    Raises EmbeddedError.
    """
    from afterimage_web.embedded.ownership import AlreadyRunning

    with ExitStack() as ours:
        try:
            supervisor = ours.enter_context(own(data_dir, workers=workers, say=say))
        except AlreadyRunning as refusal:
            await_others(data_dir, workers=workers, refusal=refusal)
            supervisor = None
        yield Stack(supervisor)


@contextmanager
def own(
    data_dir: Path, *, workers: bool, web: WebAddress | None = None, say: Callable[[str], None] = print
) -> Iterator[Supervisor]:
    """Run the services, migrate, then run workers and web server. Raises AlreadyRunning if somebody else does."""
    from afterimage_web.embedded import programs
    from afterimage_web.embedded.migrations import migrate
    from afterimage_web.embedded.others import check_others
    from afterimage_web.embedded.ownership import owned
    from afterimage_web.embedded.supervisor import Supervisor

    with owned(data_dir) as note:
        check_others(os.environ)
        if web:
            web.must_be_free()
        with Supervisor(data_dir / "logs", note, say) as supervisor:
            say("Starting the database, the queue and the vector index ...")
            supervisor.start(*services(data_dir))
            if web or not os.environ.get("DATABASE_URL"):
                migrate()
            applications = [programs.web(data_dir, web)] if web else []
            if workers and not (os.environ.get("REDIS_URL") and programs.workers_listen()):
                applications += programs.workers(data_dir)
            if applications:
                say("Starting the workers and the web server ..." if web else "Starting the workers ...")
            supervisor.start(*applications)
            yield supervisor


def services(data_dir: Path, *, durable: bool = True) -> list[Child]:
    """The services of `data_dir`, except those for which the environment names a server."""
    from afterimage_web.embedded import postgres, programs, valkey

    ours = {
        "QDRANT_URL": lambda: programs.vectors(data_dir),
        "REDIS_URL": lambda: valkey.child(data_dir),
        "DATABASE_URL": lambda: postgres.child(data_dir, durable=durable),  # last: making its files takes a second
    }
    return [make() for variable, make in ours.items() if not os.environ.get(variable)]


def await_others(data_dir: Path, *, workers: bool, refusal: EmbeddedError) -> None:
    """Return when everything that another process runs on `data_dir` answers; raise `refusal` if it does not in time."""
    from afterimage_web.embedded import programs

    probes = [child.ready for child in services(data_dir)]
    if workers:
        probes.append(programs.workers_listen)
    deadline = time.monotonic() + PATIENCE
    while not all(probe() for probe in probes):
        if time.monotonic() > deadline:
            raise EmbeddedError(f"{refusal} Its services do not answer.") from refusal
        time.sleep(0.2)
