"""Everything that cannot be made anew, in one tar file: the database, the uploads and exports, and the keys.

    database.dump                   by pg_dump, of one moment, also while people work
    files/…                         what the rows of that moment speak of, and perhaps a little that came after
    encryption_key, secret_key      unless the environment sets them

The search index is not in it: reading the files again makes it anew.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg.conninfo import make_conninfo

from afterimage_web.embedded import postgres
from datasets.models import Corpus, Project
from datasets.services.collecting import corpora

DUMP = "database.dump"
KEYS = ("encryption_key", "secret_key")
FILES = "files"


def back_up(target: Path) -> int:
    """Write the archive, readable by nobody else; it stands at `target` once it is whole. Returns its bytes."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            dump = Path(folder, DUMP)
            _run("pg_dump", "--format=custom", f"--file={dump}")
            with (
                open(os.open(draft, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file,
                tarfile.open(None, "w", file) as tar,
            ):
                tar.add(dump, DUMP)
                _add_files(tar)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target.stat().st_size


def _add_files(tar: tarfile.TarFile) -> None:
    for key in KEYS:
        with suppress(FileNotFoundError):
            tar.add(settings.DATA_DIR / key, key)
    for path in sorted(Path(settings.MEDIA_ROOT).rglob("*")):
        with suppress(FileNotFoundError):  # deleted meanwhile
            tar.add(path, f"{FILES}/{path.relative_to(settings.MEDIA_ROOT)}", recursive=False)


def restore(source: Path, *, replace: bool) -> int:
    """Put back what `source` holds and bring the tables up to date; returns how many files are to be read again.

    Raises CommandError if it is no archive of ours, or if there are projects already and `replace` is not set.
    """
    try:
        with tarfile.open(source) as tar:
            _check(tar, source, replace)
            _restore_database(tar)
            _restore_files(tar)
    except (tarfile.TarError, OSError) as error:
        raise CommandError(f"{source} cannot be restored: {error}") from error
    call_command("migrate", verbosity=0, interactive=False)
    return sum(corpora.reread_corpus(corpus=corpus, user=None) for corpus in Corpus.objects.all())


def _check(tar: tarfile.TarFile, source: Path, replace: bool) -> None:
    if DUMP not in tar.getnames():
        raise CommandError(f"{source} is no backup of AfterImage: it holds no {DUMP}.")
    if not replace and "datasets_project" in connection.introspection.table_names() and Project.objects.exists():
        raise CommandError(
            "There are projects here, which would be lost: restore into a new data folder or database, or say --replace."
        )


def _restore_database(tar: tarfile.TarFile) -> None:
    """All of it or nothing. Tables that a later version has made go too, or they would be in the way of its migrations."""
    with tempfile.TemporaryDirectory(dir=settings.DATA_DIR) as folder:
        tar.extract(DUMP, folder, filter="data")
        script = Path(folder, "restore.sql")
        _run("pg_restore", "--no-owner", "--no-privileges", f"--file={script}", f"{folder}/{DUMP}", connected=False)
        drop = Path(folder, "drop.sql")
        tables = ", ".join(map(connection.ops.quote_name, connection.introspection.table_names()))
        drop.write_text(f"DROP TABLE IF EXISTS {tables} CASCADE;\n" if tables else "")
        connection.close()
        _run("psql", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", f"--file={drop}", f"--file={script}")


def _restore_files(tar: tarfile.TarFile) -> None:
    for member in tar:
        if member.name in KEYS or member.name.startswith(f"{FILES}/"):
            tar.extract(member, settings.DATA_DIR, filter="data")


def _run(program: str, *arguments: str, connected: bool = True) -> None:
    """One of PostgreSQL's programs on the application's database; the password is not on its command line."""
    database = connection.settings_dict
    place = {
        "dbname": database["NAME"],
        "user": database["USER"] or None,
        "host": database["HOST"] or None,
        "port": database["PORT"] or None,
        **database["OPTIONS"],
    }
    address = [f"--dbname={make_conninfo('', **place)}"] if connected else []
    done = subprocess.run(
        [str(postgres.program(program)), *address, *arguments],
        env=os.environ | {"PGPASSWORD": database["PASSWORD"] or ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or ["it gave no reason"]
        raise CommandError(f"{program} failed: {words[0]}")
