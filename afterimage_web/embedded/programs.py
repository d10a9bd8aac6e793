"""Our own programs as children: the vector process, the workers and the web server."""

from __future__ import annotations

import errno
import signal
import socket
import sys
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from afterimage_web.embedded.addresses import EmbeddedError, socket_folder
from afterimage_web.embedded.supervisor import Child

QUEUES = {"default": ("--beat",), "press": ()}
"""The queues that workers listen to, and what each queue's worker does besides."""


@dataclass(frozen=True)
class WebAddress:
    """Where the web server listens."""

    host: str = "127.0.0.1"
    port: int = 8000

    @property
    def url(self) -> str:
        """The address to open in a browser on this machine."""
        host = {"0.0.0.0": "localhost", "::": "localhost"}.get(self.host, self.host)  # noqa: S104 - nothing is bound
        return f"http://[{host}]:{self.port}/" if ":" in host else f"http://{host}:{self.port}/"

    def must_be_free(self) -> None:
        """Raise EmbeddedError if no server can listen here."""
        try:
            family, kind, _, _, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(address)
        except OSError as error:
            raise EmbeddedError(self._complaint(error)) from error

    def answers(self) -> bool:
        """Whether a web server replies, whatever it says."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - nothing is bound
        return replies(HTTPConnection(host, self.port, timeout=5), "/health/live")

    def _complaint(self, error: OSError) -> str:
        if error.errno != errno.EADDRINUSE:
            return f"Cannot listen on {self.host} port {self.port} ({error.strerror}): choose others with --host and --port."
        other = self.port + 1
        return (
            f"Port {self.port} on {self.host} is in use by another program: stop it, or choose another port "
            f"with `--port {other}` (`make up PORT={other}`)."
        )


class UnixConnection(HTTPConnection):
    """HTTP over the socket at `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def replies(connection: HTTPConnection, path: str) -> bool:
    try:
        connection.request("GET", path)
        connection.getresponse().read()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True


def vectors(data_dir: Path) -> Child:
    folder = data_dir / "vectors"
    path = socket_folder(data_dir) / "vectors.sock"
    program = "afterimage_web.embedded.vectors"
    return Child(
        name="vectors",
        command=(sys.executable, "-m", program, "--data", str(folder), "--socket", str(path)),
        prepare=lambda: folder.mkdir(mode=0o700, exist_ok=True),
        ready=lambda: replies(UnixConnection(path), "/collections"),
    )


def workers(data_dir: Path) -> list[Child]:
    """One worker for each queue; that of the default queue also is the clock."""
    schedule = ("--schedule", str(data_dir / "celerybeat-schedule"))
    return [worker(data_dir, queue, *extra, *(schedule if extra else ())) for queue, extra in QUEUES.items()]


def worker(data_dir: Path, queue: str, *options: str) -> Child:
    celery = (sys.executable, "-m", "celery", "-A", "afterimage_web", "worker", "--loglevel", "INFO")
    shape = ("--concurrency", "2", "--without-gossip", "--without-mingle")
    return Child(
        name=f"{queue}-worker",
        command=(*celery, "-Q", queue, "-n", node(queue), *shape, *options),
        env={"AFTERIMAGE_DATA": str(data_dir)},
        ready=lambda: listens(queue),
        orphan_signal=signal.SIGKILL,  # asked more kindly it may wait for a broker that ends too; leases bring work back
        grace=6.0,
    )


def node(queue: str) -> str:
    return f"{queue}@{socket.gethostname()}"


def listens(queue: str) -> bool:
    """Whether this machine's worker of `queue` answers."""
    from afterimage_web.celery import app

    return bool(app.control.ping(destination=[node(queue)], timeout=0.5))


def workers_listen() -> bool:
    """Whether some worker, wherever it runs, listens to each queue."""
    from afterimage_web.celery import app

    replies = app.control.inspect(timeout=1.0).active_queues() or {}
    heard = {queue["name"] for queues in replies.values() for queue in queues}
    return heard >= set(QUEUES)


def web(data_dir: Path, address: WebAddress) -> Child:
    granian = (sys.executable, "-m", "granian", "--interface", "wsgi", "afterimage_web.wsgi:application", "--no-ws")
    place = ("--host", address.host, "--port", str(address.port))
    return Child(
        name="web",
        command=(*granian, *place, "--blocking-threads", "8", "--workers-kill-timeout", "3"),
        env={"AFTERIMAGE_DATA": str(data_dir)},
        ready=address.answers,
        grace=6.0,
    )
