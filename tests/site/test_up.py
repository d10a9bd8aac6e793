"""`manage.py up` as a stranger runs it: one command, one address to open, one Ctrl-C."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import psutil
import psycopg
import pytest

from afterimage_web.embedded import urls
from tests.services import remove
from tests.site.outside import Outside, eventually, family, gone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    remove(tmp_path)


@pytest.fixture
def up(data_dir: Path) -> Iterator[Callable[[], Outside]]:
    """Starts `up` on the data folder and a free port, and returns when it says the address."""
    started: list[Outside] = []

    def run() -> Outside:
        started.append(Outside("manage.py", "up", "--port", str(free_port()), AFTERIMAGE_DATA=str(data_dir)))
        started[-1].says("AfterImage is at")
        return started[-1]

    yield run
    for program in started:
        program.stops()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def page(program: Outside, path: str) -> tuple[int, str]:
    address = re.search(r"AfterImage is at (http://[\w.]+:\d+)/", program.output)[1]
    with urlopen(address + path, timeout=30) as response:
        return response.status, response.read().decode()


def child(program: Outside, words: str) -> psutil.Process:
    """The supervised process with `words` in its command line; waits for one."""
    found: list[psutil.Process] = []

    def look() -> bool:
        children = psutil.Process(program.process.pid).children()
        found[:] = [process for process in children if words in " ".join(process.cmdline())]
        return bool(found)

    assert eventually(look)
    return found[0]


def test_the_application_starts_serves_stops_and_starts_again_with_everything_it_had(up, data_dir):
    """Both ends of an `up`, by Ctrl-C and by kill -9: a start costs seconds, so they share one test."""
    first = up()
    assert page(first, "/login/")[0] == 200
    assert page(first, "/health/ready")[0] == 200
    assert names_of_users(data_dir) == re.findall(r"Log in as (\w+) with the password", first.output)
    everybody_knows_the_address(first)
    a_killed_worker_comes_back(first)
    ours = family(first.process.pid)
    first.signal(signal.SIGINT)
    assert first.ends() == 0
    assert gone(ours)

    second = up()
    assert "Log in as" not in second.output
    assert len(names_of_users(data_dir)) == 1
    ours = family(second.process.pid)
    assert len(ours) > 10
    second.signal(signal.SIGKILL)
    second.ends()
    assert eventually(lambda: gone(ours))


def names_of_users(data_dir: Path) -> list[str]:
    with psycopg.connect(urls(data_dir).database) as connection:
        return [name for (name,) in connection.execute("SELECT username FROM datasets_user")]


def everybody_knows_the_address(program: Outside) -> None:
    """Mails and webhooks, which workers send, lead to it."""
    address = re.search(r"AfterImage is at (http://[\w.]+:\d+)/", program.output)[1]
    assert {child(program, name).environ()["SITE_URL"] for name in ("granian", "default@", "press@")} == {address}


def a_killed_worker_comes_back(program: Outside) -> None:
    worker = child(program, "press@")
    worker.kill()
    program.says("press-worker ended unexpectedly and is started again")
    assert eventually(lambda: child(program, "press@").pid != worker.pid)


def test_a_port_in_use_is_named_before_anything_starts(data_dir):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        program = Outside("manage.py", "up", "--port", port, AFTERIMAGE_DATA=str(data_dir))
        assert program.ends() == 1
    assert program.output.startswith(f"CommandError: Port {port} on 127.0.0.1 is in use by another program")
    assert program.output.count("\n") == 1
