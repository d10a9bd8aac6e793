"""Starts processes, keeps them running, and stops them: those that it started, and only those."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Self

from afterimage_web.embedded.addresses import EmbeddedError
from afterimage_web.embedded.ownership import Note, kill_group

PROJECT = Path(__file__).resolve().parents[2]
BEAT = 0.1
"""Seconds between two looks at the children."""
CRASHES, WINDOW = 5, 60.0
"""A child that ends this often within so many seconds and has never served is given up."""
BACKOFF, LONGEST_BACKOFF = 0.5, 20.0
"""Seconds before the first new start after a crash, doubled with each further crash in the window; and at the most."""
LOG_LIMIT = 5 * 2**20
"""Bytes of a log that make it large: it and the one before it are kept."""
ROOM = 2**20
"""Bytes of free space with less of which a disk counts as full."""
LOG_BEAT = 10.0
"""Seconds between two looks at the size of the logs."""


@dataclass(frozen=True)
class Child:
    """A process to supervise.

    `prepare` runs before every start and may refuse with EmbeddedError; `ready` says whether the process serves by now.
    `orphan_signal` reaches it when the supervisor is killed; `user` is "uid:gid" to run as, or "".
    """

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool]
    prepare: Callable[[], None] = lambda: None
    env: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals | None = None
    grace: float = 10.0
    user: str = ""


def wrapped(command: tuple[str, ...], orphan_signal: signal.Signals, user: str = "") -> list[str]:
    """The command line that ties `command` to the life of this process. See child.py."""
    shim = str(Path(__file__).with_name("child.py"))
    return [sys.executable, "-I", "-S", shim, str(os.getpid()), str(int(orphan_signal)), user, *command]


class Supervised:
    """One child and its history."""

    def __init__(self, child: Child, log: Path) -> None:
        self.child = child
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.served = False
        self.due = 0.0
        self.crashes: deque[float] = deque(maxlen=CRASHES)

    def spawn(self) -> None:
        child = self.child
        child.prepare()
        make_room(self.log)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                wrapped(child.command, child.orphan_signal or child.stop_signal, child.user),
                cwd=PROJECT,
                env=os.environ | child.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                umask=0o077,
                start_new_session=True,  # its own group, so that Ctrl-C in the terminal reaches us alone
            )

    def crashed(self) -> bool:
        """Whether the process has ended since the last look; what it left of its group is killed."""
        if self.process is None or self.process.poll() is None:
            return False
        kill_group(self.process.pid)
        self.process = None
        self.put_off()
        return True

    def put_off(self) -> None:
        """The next start waits, the longer the more often this has happened of late."""
        now = time.monotonic()
        self.crashes.append(now)
        recent = sum(now - moment < WINDOW for moment in self.crashes)
        self.due = now + min(BACKOFF * 2 ** (recent - 1), LONGEST_BACKOFF)

    def hopeless(self) -> bool:
        """What has served before will again, once the disk has room or somebody has mended what it lacks."""
        return not self.served and len(self.crashes) == CRASHES and self.crashes[-1] - self.crashes[0] < WINDOW

    def tell_to_stop(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(self.child.stop_signal)

    def see_off(self, deadline: float) -> None:
        if self.process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, deadline - time.monotonic()))
        kill_group(self.process.pid)
        self.process.wait()
        self.process = None


class Supervisor:
    """A context in which the children given to `start` run and are started again when they crash.

    >>> with Supervisor(logs, note) as supervisor:
    ...     supervisor.start(postgres, valkey)
    ...     supervisor.start(web)
    ...     supervisor.wait()

    All processes are started by one thread that outlives them, because the kernel ties a child to the thread that
    started it.
    """

    def __init__(self, logs: Path, note: Note, say: Callable[[str], None] = print) -> None:
        self.logs = logs
        self.note = note
        self.say = say
        self.stages: list[list[Supervised]] = []
        self._inbox: SimpleQueue[list[Supervised]] = SimpleQueue()
        self._failure: EmbeddedError | None = None
        self._failed = threading.Event()
        self._stopping = threading.Event()
        self._logs_due = 0.0
        self._keeper = threading.Thread(target=self._keep, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self.logs.mkdir(mode=0o700, exist_ok=True)
        self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._keeper.join()

    def start(self, *children: Child, within: float = 120.0) -> None:
        """Start `children` together and return when all are ready. They will be stopped before those started earlier.

        Raises EmbeddedError if one cannot be started or is not ready after `within` seconds.
        """
        stage = [Supervised(child, self.logs / f"{child.name}.log") for child in children]
        self._inbox.put(stage)
        deadline = time.monotonic() + within
        for member in stage:
            while not member.process or not member.child.ready():
                self.check()
                if time.monotonic() > deadline:
                    name = member.child.name
                    raise EmbeddedError(f"{name} does not answer after {within:.0f} s. {last_words(member)}")
                time.sleep(BEAT)
            member.served = True

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def check(self) -> None:
        """Raise EmbeddedError if a child had to be given up."""
        if self._failure:
            raise self._failure

    def wait(self) -> None:
        """Block until a child has to be given up, and raise its EmbeddedError."""
        self._failed.wait()
        self.check()

    def _keep(self) -> None:
        try:
            while not self._stopping.wait(BEAT):
                self._look()
        except (EmbeddedError, OSError) as error:
            self._failure = error if isinstance(error, EmbeddedError) else EmbeddedError(why(error))
            self._failed.set()
            self._stopping.wait()
        self._stop()

    def _look(self) -> None:
        with suppress(Empty):
            self.stages.append(self._inbox.get_nowait())
        now = time.monotonic()
        for member in self._members():
            if member.crashed():
                self._regret(member)
            elif member.process is None and member.due <= now:
                self._spawn(member)
        if self._logs_due <= now:
            self._logs_due = now + LOG_BEAT
            for member in self._members():
                make_room(member.log)

    def _spawn(self, member: Supervised) -> None:
        """What has served before is tried again for as long as the system refuses it, for instance on a full disk."""
        try:
            member.spawn()
        except OSError as error:
            if not member.served:
                raise
            member.put_off()
            self._tell(f"{member.child.name} cannot be started and is tried again: {why(error)}")
        else:
            self._write_note()

    def _regret(self, member: Supervised) -> None:
        name = member.child.name
        if member.hopeless():
            raise EmbeddedError(f"{name} ended {CRASHES} times within a minute and is given up. {last_words(member)}")
        self._tell(f"{name} ended unexpectedly and is started again ({self._clue(member)}).")

    def _clue(self, member: Supervised) -> str:
        """Where the reason stands, unless it could not be written down."""
        if shutil.disk_usage(self.logs).free < ROOM:
            return f"the disk of {self.logs} is full: free some space on it"
        return f"see {member.log}"

    def _tell(self, sentence: str) -> None:
        """With the time, for whoever reads it the next morning."""
        with suppress(OSError):  # what we print to may lie on the full disk
            self.say(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {sentence}")

    def _stop(self) -> None:
        for stage in reversed(self.stages):
            for member in stage:
                member.tell_to_stop()
            now = time.monotonic()
            for member in stage:
                member.see_off(now + member.child.grace)

    def _members(self) -> list[Supervised]:
        return [member for stage in self.stages for member in stage]

    def _write_note(self) -> None:
        with suppress(OSError):  # on a full disk the kernel alone sees to it that children end with us
            self.note.write([member.process.pid for member in self._members() if member.process])


def make_room(log: Path) -> None:
    """A log that has grown large is kept as `.log.1` and begun anew, also while somebody appends to it."""
    if not log.exists() or log.stat().st_size <= LOG_LIMIT:
        return
    try:
        shutil.copyfile(log, log.with_suffix(".log.1"))
    except OSError:  # a full disk gets its room back
        log.with_suffix(".log.1").unlink(missing_ok=True)
    os.truncate(log, 0)


def why(error: OSError) -> str:
    """A sentence for what the system refused, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {error.filename or 'the data folder'} is full. Free some space on it."
    return f"{error}. See that the data folder can be written to."


def last_words(member: Supervised, lines: int = 8) -> str:
    """The end of a child's log, introduced."""
    try:
        with member.log.open("rb") as log:
            log.seek(max(0, member.log.stat().st_size - 4096))
            tail = log.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        tail = []
    return f"The end of its log {member.log}:\n  " + "\n  ".join(tail)
