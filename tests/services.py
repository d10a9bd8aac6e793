"""PostgreSQL, Valkey and the vector process for a test session: throw-away ones, or those that the environment names."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psutil

from afterimage_web.embedded.addresses import Urls, redis_py_url, socket_folder, urls_from
from afterimage_web.embedded.ownership import owned
from afterimage_web.embedded.stack import services
from afterimage_web.embedded.supervisor import Supervisor

PREFIX = "afterimage-tests-"


def provide() -> Urls:
    """The addresses of the session's services, which from now on are in the environment too, for the settings to read.

    Whatever DATABASE_URL, REDIS_URL and QDRANT_URL do not name is started, and ends with this process however that ends.
    The processes of pytest-xdist share the services of the one that started them. Each has a Redis database and a data
    folder of its own, as pytest-django gives it a database.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    data_dir = Path(os.environ["AFTERIMAGE_DATA"]) if worker else start_throwaway()
    found = urls_from(os.environ, data_dir)
    redis = numbered(redis_py_url(found.redis), worker)
    os.environ |= {"DATABASE_URL": found.database, "REDIS_URL": redis, "QDRANT_URL": found.qdrant}
    os.environ["AFTERIMAGE_DATA"] = str(data_dir / worker)
    return found


def numbered(redis: str, worker: str) -> str:
    """The address of the Redis database of the worker `gw0`, `gw1`, … of pytest-xdist; as it is for none."""
    return f"{redis.split('?')[0]}?db={1 + int(worker.removeprefix('gw'))}" if worker else redis


def start_throwaway() -> Path:
    """Start the services that the environment does not name in a temporary data folder, and return the folder."""
    remove_leftovers()
    data_dir = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    session = ExitStack()
    atexit.register(session.close)
    session.callback(remove, data_dir)
    supervisor = session.enter_context(Supervisor(data_dir / "logs", session.enter_context(owned(data_dir))))
    supervisor.start(*services(data_dir, durable=False))
    return data_dir


def remove(data_dir: Path) -> None:
    shutil.rmtree(socket_folder(data_dir), ignore_errors=True)
    shutil.rmtree(data_dir, ignore_errors=True)


def remove_leftovers() -> None:
    """Remove the folders of sessions that were killed before they could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).split("-")[0]
        if folder.stat().st_uid == os.geteuid() and pid.isdigit() and not psutil.pid_exists(int(pid)):
            remove(folder)
