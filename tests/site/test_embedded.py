"""The embedded services on real processes: each fault is caused, and what a person sees of it is checked."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from afterimage_web.embedded import (
    EmbeddedError,
    kombu_url,
    ownership,
    postgres,
    redis_py_url,
    supervisor,
    urls,
    valkey,
)
from afterimage_web.embedded.addresses import socket_folder
from afterimage_web.embedded.ownership import owned
from afterimage_web.embedded.programs import WebAddress
from afterimage_web.embedded.supervisor import Child, Supervisor, wrapped
from tests.services import remove
from tests.site.outside import Outside, eventually, family, gone


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[..., Outside]]:
    started: list[Outside] = []

    def run(*command: str, **environment: str) -> Outside:
        started.append(Outside(*command, **environment))
        return started[-1]

    yield run
    for program in started:
        program.stops()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Iterator[Path]:
    """A data folder with a database, on which one test after the other starts and stops services."""
    folder = tmp_path_factory.mktemp("data")
    postgres.prepare(folder, socket_folder(folder) / "postgres", durable=False)
    yield folder
    remove(folder)


@pytest.fixture
def small_stack(start, data_dir: Path) -> Iterator[Callable[[], Outside]]:
    """Starts PostgreSQL and Valkey on `data_dir`; the last start ends with the test."""
    started: list[Outside] = []

    def run() -> Outside:
        started.append(start("-m", "tests.site.small_stack", str(data_dir)))
        started[-1].says("ready")
        return started[-1]

    yield run
    started[-1].stops()


@pytest.fixture(scope="module")
def served(start, tmp_path_factory, data_dir: Path) -> Iterator[tuple[Path, Outside]]:
    """A data folder on which PostgreSQL and Valkey run throughout, and the process that runs them."""
    folder = tmp_path_factory.mktemp("served")
    program = start("-m", "tests.site.small_stack", str(folder))
    program.says("ready")
    yield folder, program
    program.stops()
    remove(folder)


def remove_sockets(folder: Path) -> None:
    shutil.rmtree(socket_folder(folder))


def run_in_process(folder: Path, *children: Child, say: Callable[[str], None] = print) -> None:
    """Start the children, see them ready, and stop them."""
    with owned(folder) as note, Supervisor(folder / "logs", note, say) as running:
        running.start(*children)


def database(folder: Path) -> psycopg.Connection:
    return psycopg.connect(urls(folder).database, autocommit=True)


def store(folder: Path) -> redis.Redis:
    return redis.Redis.from_url(redis_py_url(urls(folder).redis))


def postmaster(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


def sleeper(name: str = "sleeper", **changes) -> Child:
    return Child(name=name, command=("sleep", "600"), ready=lambda: True, **changes)


# -- starting, stopping, and starting again -------------------------------------------------------------------------------


def test_a_second_start_finds_everything_that_the_first_one_kept(small_stack, data_dir):
    first = small_stack()
    with database(data_dir) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    store(data_dir).set("kept", "yes")
    first.signal(signal.SIGINT)
    assert first.ends() == 0

    small_stack()
    with database(data_dir) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert store(data_dir).get("kept") == b"yes"


def test_ctrl_c_stops_the_processes_that_it_started_and_no_other(small_stack):
    bystander = subprocess.Popen(["sleep", "60"])
    running = small_stack()
    ours = family(running.process.pid)
    assert {"postgres", "valkey-server"} <= {process.name() for process in ours}

    running.signal(signal.SIGINT)
    assert running.ends() == 0
    assert gone(ours)
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_children_stop_in_the_reverse_of_their_order(tmp_path):
    order = tmp_path / "order"

    def trapping(name: str) -> Child:
        script = f"trap 'echo {name} >> {order}; exit' TERM; echo up > {tmp_path / name}; while :; do sleep 0.05; done"
        return Child(name=name, command=("bash", "-c", script), ready=(tmp_path / name).exists)

    with owned(tmp_path) as note, Supervisor(tmp_path / "logs", note) as running:
        running.start(trapping("database"))
        running.start(trapping("worker"))
    assert order.read_text().split() == ["worker", "database"]


def test_a_child_that_ignores_the_request_to_stop_is_killed_with_its_own_children(tmp_path):
    script = "trap '' TERM; sleep 600 & echo $! > child; wait"
    stubborn = Child(
        name="stubborn",
        command=("bash", "-c", f"cd {tmp_path}; {script}"),
        ready=(tmp_path / "child").exists,
        grace=0.2,
    )
    run_in_process(tmp_path, stubborn)
    grandchild = int((tmp_path / "child").read_text())
    assert eventually(lambda: not psutil.pid_exists(grandchild))


def test_a_second_start_on_the_same_folder_names_the_process_that_has_it(served, start):
    folder, first = served
    second = start("-m", "tests.site.small_stack", str(folder))
    assert second.ends() == 1
    assert f"AfterImage already runs on {folder} (process {first.process.pid})" in second.output
    assert second.output.count("\n") == 1
    assert postgres.answers(folder)


# -- what dies unasked ----------------------------------------------------------------------------------------------------


def test_a_killed_supervisor_leaves_no_process_behind_and_the_next_start_works(small_stack, data_dir):
    first = small_stack()
    with database(data_dir) as connection:
        connection.execute("CREATE TABLE survivor ()")
    ours = family(first.process.pid)
    first.signal(signal.SIGKILL)
    first.ends()
    assert eventually(lambda: gone(ours))

    small_stack()
    with database(data_dir) as connection:
        assert connection.execute("SELECT count(*) FROM survivor").fetchone() == (0,)


def test_what_a_killed_start_left_running_is_ended_before_the_next_one_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(ownership, "LAST_WORDS", 0.2)
    leftover = subprocess.Popen(["bash", "-c", "sleep 600 & wait"], start_new_session=True)
    assert eventually(lambda: len(family(leftover.pid)) == 1)
    group = [psutil.Process(leftover.pid), *family(leftover.pid)]
    with owned(tmp_path) as note:
        note.write([leftover.pid])
    with owned(tmp_path):
        assert eventually(lambda: gone(group), 1)  # they are killed; the system may take a moment over it


def test_a_process_that_took_the_id_of_a_dead_child_is_left_alone(tmp_path):
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    with owned(tmp_path) as note:
        note.path.write_text(f"[[{stranger.pid}, 1000.0]]")
    with owned(tmp_path):
        assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


@pytest.mark.parametrize("name", ["postgres", "valkey-server"])
def test_a_killed_service_is_started_again_with_its_data(served, name):
    folder, running = served
    with database(folder) as connection:
        connection.execute(f'CREATE TABLE "kept from {name}" ()')
    store(folder).set(f"kept from {name}", "yes")
    victim = next(process for process in psutil.Process(running.process.pid).children() if process.name() == name)
    victim.kill()

    assert "ended unexpectedly and is started again" in running.says("ended")
    assert eventually(lambda: postgres.answers(folder) and valkey.answers(socket_folder(folder) / "valkey.sock"))
    with database(folder) as connection:
        assert connection.execute(f'SELECT count(*) FROM "kept from {name}"').fetchone() == (0,)
    assert store(folder).get(f"kept from {name}") == b"yes"


def test_the_log_of_the_database_repeats_no_text_that_somebody_wrote(served):
    folder, _ = served
    with database(folder) as connection:
        connection.execute("CREATE TABLE letters (text text UNIQUE)")
        connection.execute("INSERT INTO letters VALUES ('a private letter')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO letters VALUES ('a private letter')")
    log = folder / "logs" / "postgres.log"
    assert eventually(lambda: "duplicate key value" in log.read_text())
    assert "private" not in log.read_text()


def test_a_child_that_crashes_again_and_again_is_given_up_with_the_end_of_its_log(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "BACKOFF", 0.01)
    broken = Child(name="broken", command=("bash", "-c", "echo no such luck; exit 3"), ready=lambda: False)
    said: list[str] = []
    with pytest.raises(EmbeddedError, match=r"broken ended 5 times within a minute and is given up.*\n.*no such luck"):
        run_in_process(tmp_path, broken, say=said.append)
    assert len(said) == supervisor.CRASHES - 1


def test_a_child_that_does_not_answer_in_time_is_named_with_the_end_of_its_log(tmp_path):
    deaf = Child(name="deaf", command=("bash", "-c", "echo thinking; sleep 600"), ready=lambda: False)
    with (
        owned(tmp_path) as note,
        Supervisor(tmp_path / "logs", note) as running,
        pytest.raises(EmbeddedError, match=r"deaf does not answer after 1 s.*\n.*thinking"),
    ):
        running.start(deaf, within=1)


def test_a_large_log_makes_room_at_the_next_start(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "sleeper.log").write_bytes(b"x" * (supervisor.LOG_LIMIT + 1))
    run_in_process(tmp_path, sleeper())
    assert (tmp_path / "logs" / "sleeper.log").stat().st_size == 0
    assert (tmp_path / "logs" / "sleeper.log.1").stat().st_size > supervisor.LOG_LIMIT


def test_a_large_log_makes_room_while_it_is_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "LOG_LIMIT", 10_000)
    monkeypatch.setattr(supervisor, "LOG_BEAT", 0.0)
    writer = Child(name="writer", command=("bash", "-c", "while sleep 0.01; do seq 1000; done"), ready=lambda: True)
    log, before = tmp_path / "logs" / "writer.log", tmp_path / "logs" / "writer.log.1"
    with owned(tmp_path) as note, Supervisor(tmp_path / "logs", note) as running:
        running.start(writer)
        assert eventually(lambda: before.exists() and before.stat().st_size > 10_000)
        first = before.stat().st_mtime_ns
        assert eventually(lambda: before.stat().st_mtime_ns != first)
        assert eventually(lambda: 0 < log.stat().st_size < 1_000_000)


def test_a_child_that_has_served_is_started_for_as_long_as_it_takes(tmp_path, monkeypatch):
    """A full disk, say, must not end the whole application: it goes on once there is room."""
    monkeypatch.setattr(supervisor, "BACKOFF", 0.01)
    monkeypatch.setattr(supervisor, "LONGEST_BACKOFF", 0.05)
    said: list[str] = []
    obstacle, lives = tmp_path / "obstacle", "test -e obstacle && exit 3; sleep 600"
    stumbling = Child(
        name="stumbling", command=("bash", "-c", f"cd {tmp_path}; {lives}"), ready=lambda: not obstacle.exists()
    )
    with owned(tmp_path) as note, Supervisor(tmp_path / "logs", note, said.append) as running:
        running.start(stumbling)
        assert eventually(lambda: bool(sleepers(running)))
        obstacle.touch()
        sleepers(running)[0].kill()
        assert eventually(lambda: len(said) > 2 * supervisor.CRASHES)
        obstacle.unlink()
        assert eventually(lambda: bool(sleepers(running)))
        running.check()


def test_what_the_system_refuses_to_start_is_tried_again_and_a_full_disk_is_called_so(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "BACKOFF", 0.01)
    said: list[str] = []
    full: list[bool] = []

    def prepare() -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")

    child = Child(name="sleeper", command=("sleep", "600"), ready=lambda: True, prepare=prepare)
    with owned(tmp_path) as note, Supervisor(tmp_path / "logs", note, said.append) as running:
        running.start(child)
        full.append(True)
        assert eventually(lambda: bool(sleepers(running)))
        sleepers(running)[0].kill()
        assert eventually(lambda: any("the disk of the data folder is full" in sentence for sentence in said))
        full.clear()
        assert eventually(lambda: bool(sleepers(running)))
        running.check()


def test_a_full_disk_is_named_where_the_log_cannot_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "BACKOFF", 0.01)
    monkeypatch.setattr(supervisor, "ROOM", 2**62)
    said: list[str] = []
    with owned(tmp_path) as note, Supervisor(tmp_path / "logs", note, said.append) as running:
        running.start(sleeper())
        sleepers(running)[0].kill()
        assert eventually(lambda: bool(said))
    assert f"the disk of {tmp_path / 'logs'} is full: free some space on it" in said[0]


def sleepers(running: Supervisor) -> list[psutil.Process]:
    """The processes of the only child that live."""
    process = running.stages[0][0].process if running.stages else None
    return [psutil.Process(process.pid)] if process and process.poll() is None else []


# -- folders in a state that somebody must mend ---------------------------------------------------------------------------


def test_a_database_of_another_version_is_refused_with_the_way_out(tmp_path):
    version = tmp_path / "postgres" / "PG_VERSION"
    version.parent.mkdir()
    version.write_text("15\n")
    with pytest.raises(
        EmbeddedError, match=r"made by PostgreSQL 15, and this version brings PostgreSQL 18: copy it over"
    ):
        run_in_process(tmp_path, postgres.child(tmp_path))
    assert version.read_text() == "15\n"
    remove_sockets(tmp_path)


def test_a_folder_that_is_no_database_is_refused_and_left_alone(tmp_path):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "thesis.txt").write_text("precious")
    with pytest.raises(EmbeddedError, match="holds something else than a database"):
        run_in_process(tmp_path, postgres.child(tmp_path))
    assert (tmp_path / "postgres" / "thesis.txt").read_text() == "precious"
    remove_sockets(tmp_path)


def test_a_first_start_that_was_killed_halfway_is_made_good(tmp_path):
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("18\n")
    run_in_process(tmp_path, postgres.child(tmp_path, durable=False))
    assert not (tmp_path / "postgres.new").exists()
    remove(tmp_path)


def test_the_lock_and_socket_of_a_dead_server_are_no_obstacle_even_if_its_process_id_lives(data_dir):
    other = subprocess.Popen(wrapped(("sleep", "60"), signal.SIGKILL, postgres.user()))
    sockets = socket_folder(data_dir) / "postgres"
    contents = f"{other.pid}\n{data_dir / 'postgres'}\n1700000000\n5432\n{sockets}\n\n  1  1\nready\n"
    (data_dir / "postgres" / "postmaster.pid").write_text(contents)
    (sockets / ".s.PGSQL.5432.lock").write_text(contents)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(sockets / ".s.PGSQL.5432"))
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(socket_folder(data_dir) / "valkey.sock"))

    run_in_process(data_dir, postgres.child(data_dir, durable=False), valkey.child(data_dir))
    assert other.poll() is None
    other.kill()
    other.wait()


def test_a_server_that_somebody_else_runs_on_the_folder_is_named_and_left_alone(data_dir):
    child = postgres.child(data_dir, durable=False)
    child.prepare()
    foreign = subprocess.Popen(wrapped(child.command, signal.SIGINT, child.user), cwd="/", stderr=subprocess.DEVNULL)
    assert eventually(child.ready)
    with pytest.raises(EmbeddedError, match=rf"that AfterImage did not start runs on .* \(process {foreign.pid}\)"):
        run_in_process(data_dir, child)
    assert child.ready()
    foreign.send_signal(signal.SIGINT)
    assert foreign.wait(10) == 0


def test_a_password_file_that_does_not_fit_the_database_is_named(data_dir):
    right = (data_dir / "postgres_password").read_text()
    (data_dir / "postgres_password").write_text("wrong")
    with pytest.raises(EmbeddedError, match=r"refuses the password in .*postgres_password"):
        run_in_process(data_dir, postgres.child(data_dir, durable=False))
    (data_dir / "postgres_password").write_text(right)


# -- nobody let in --------------------------------------------------------------------------------------------------------


def test_only_the_application_may_log_in_to_the_database_and_only_with_its_password(served):
    good = urls(served[0]).database
    with psycopg.connect(good) as connection:
        assert connection.execute("SELECT usesuper FROM pg_user WHERE usename = current_user").fetchone() == (False,)
    for stranger in (good.replace("afterimage:", "postgres:", 1), good.replace(":", ":x", 2).replace("x//", "//", 1)):
        with pytest.raises(psycopg.OperationalError, match=r"no pg_hba.conf entry|password authentication failed"):
            psycopg.connect(stranger)


def test_the_services_listen_on_no_network_port(served):
    for process in family(served[1].process.pid):
        assert not process.net_connections("inet")


def test_the_password_and_the_sockets_are_readable_by_their_owner_alone(tmp_path):
    urls(tmp_path)
    assert stat.S_IMODE((tmp_path / "postgres_password").stat().st_mode) == 0o600
    assert stat.S_IMODE(socket_folder(tmp_path).stat().st_mode) & 0o066 == 0
    assert len(str(socket_folder(tmp_path) / "postgres" / ".s.PGSQL.5432")) < 107
    remove_sockets(tmp_path)


@pytest.mark.parametrize("trap", ["open to all", "a link"])
def test_a_socket_folder_that_somebody_else_prepared_is_refused(tmp_path, trap):
    place = socket_folder(tmp_path)
    place.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    place.symlink_to(elsewhere) if trap == "a link" else (place.mkdir(), place.chmod(0o777))
    with pytest.raises(EmbeddedError, match=f"{place}.* is not a private folder of yours"):
        urls(tmp_path)
    place.unlink() if trap == "a link" else place.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of somebody else's")
def test_a_data_folder_of_another_user_is_refused(tmp_path):
    os.chown(tmp_path, 12345, 12345)
    with pytest.raises(EmbeddedError, match="belongs to another user"):
        urls(tmp_path)


# -- addresses ------------------------------------------------------------------------------------------------------------


def test_a_port_in_use_is_named_with_the_option_that_changes_it():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EmbeddedError, match=rf"Port {port} on 127\.0\.0\.1 is in use.*`--port {port + 1}`"):
            WebAddress("127.0.0.1", port).must_be_free()
    WebAddress("127.0.0.1", port).must_be_free()


def test_an_address_that_is_not_this_machines_is_refused_in_one_sentence():
    with pytest.raises(EmbeddedError, match=r"Cannot listen on 192\.0\.2\.1 port 8000"):
        WebAddress("192.0.2.1").must_be_free()


@pytest.mark.parametrize(
    ("kombu", "redis_py"),
    [
        ("redis+socket:///run/v.sock", "unix:///run/v.sock"),
        ("redis+socket:///run/v.sock?virtual_host=3", "unix:///run/v.sock?db=3"),
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("rediss://:db=x@cache:6379/0", "rediss://:db=x@cache:6379/0"),
    ],
)
def test_a_redis_address_is_spelt_as_either_library_wants_it(kombu, redis_py):
    assert redis_py_url(kombu) == redis_py
    assert kombu_url(redis_py) == kombu
    assert kombu_url(kombu) == kombu
    assert redis_py_url(redis_py) == redis_py
