"""`manage.py backup` and `manage.py restore`: everything is there again, and nothing that is there is lost by accident."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.management import CommandError
from django.db import connection

from afterimage_web.management.archiving import back_up, restore
from datasets import pulse
from datasets.models import Conversation, Corpus, Project, SourceFile, Version
from tests.factories import make_conversation, make_corpus
from tests.workers import ROOT, addresses

pytestmark = pytest.mark.django_db(transaction=True)


def kept_file(corpus: Corpus) -> SourceFile:
    source = SourceFile(corpus=corpus, name="manual.txt", size=5, sha256="a" * 64, state=SourceFile.State.READY)
    source.file.save("manual.txt", ContentFile(b"Hello"))
    return source


def test_what_was_lost_is_there_again(project: Project, tmp_path: Path) -> None:
    said = make_conversation(project).head.messages
    source = kept_file(make_corpus(project))
    size = back_up(archive := tmp_path / "all.tar")
    assert size == archive.stat().st_size > 0
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["all.tar"]

    Project.objects.all().delete()
    Path(source.file.path).unlink()
    with connection.cursor() as cursor:  # as a later version leaves it
        cursor.execute("CREATE TABLE datasets_of_tomorrow (project_id bigint)")

    assert restore(archive, replace=False) == 1
    assert Version.objects.get(conversation=Conversation.objects.get()).messages == said
    assert Path(source.file.path).read_bytes() == b"Hello"
    assert SourceFile.objects.get().state == SourceFile.State.WAITING
    assert "datasets_of_tomorrow" not in connection.introspection.table_names()
    Project.objects.create(name="Next", slug="next")  # numbers go on where they were


def test_projects_that_are_there_are_lost_only_where_that_is_said(project: Project, tmp_path: Path) -> None:
    back_up(archive := tmp_path / "all.tar")
    later = Project.objects.create(name="Later", slug="later")
    with pytest.raises(CommandError, match="There are projects here, which would be lost"):
        restore(archive, replace=False)
    assert Project.objects.filter(pk=later.pk).exists()
    restore(archive, replace=True)
    assert list(Project.objects.values_list("slug", flat=True)) == [project.slug]


def test_what_is_no_backup_is_refused_and_changes_nothing(project: Project, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no archive")
    with pytest.raises(CommandError, match="cannot be restored"):
        restore(tmp_path / "notes.txt", replace=True)
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.add(tmp_path / "notes.txt", "notes.txt")
    with pytest.raises(CommandError, match=r"no backup of AfterImage: it holds no database\.dump"):
        restore(tmp_path / "other.tar", replace=True)
    (tmp_path / "database.dump").write_text("half a dump")
    with tarfile.open(tmp_path / "half.tar", "w") as tar:
        tar.add(tmp_path / "database.dump", "database.dump")
    with pytest.raises(CommandError, match="pg_restore failed"):
        restore(tmp_path / "half.tar", replace=True)
    assert Project.objects.filter(pk=project.pk).exists()


def test_a_backup_goes_through_pipes_and_is_not_put_back_while_workers_listen(project: Project, tmp_path: Path) -> None:
    program = [sys.executable, "manage.py"]
    environment = os.environ | addresses() | {"AFTERIMAGE_DATA": str(tmp_path)}  # this session holds its own
    outside = {"cwd": ROOT, "env": environment, "capture_output": True}
    made = subprocess.run([*program, "backup", "-"], **outside, check=True)
    assert b"keep it where it is safe" in made.stderr
    Project.objects.all().delete()

    pulse.beat(["press"])
    refused = subprocess.run([*program, "restore", "-"], **outside, input=made.stdout)
    assert (refused.returncode, b"Workers are at work here" in refused.stderr) == (1, True)
    pulse.board().delete("pulse:press", "pulse:default")

    done = subprocess.run([*program, "restore", "-"], **outside, input=made.stdout, check=True)
    assert done.stdout.startswith(b"Restored.")
    assert Project.objects.filter(slug=project.slug).exists()


def test_an_archive_writes_nothing_outside_the_data_folder(project: Project, tmp_path: Path) -> None:
    back_up(archive := tmp_path / "all.tar")
    (tmp_path / "evil").write_text("evil")
    with tarfile.open(archive, "a") as tar:
        tar.add(tmp_path / "evil", "files/../../evil-outside")
        tar.add(tmp_path / "evil", "postgres_password")
    with pytest.raises(CommandError, match="cannot be restored"):
        restore(archive, replace=True)
    assert not (Path(settings.DATA_DIR).parent / "evil-outside").exists()
    assert (
        not (Path(settings.DATA_DIR) / "postgres_password").is_file()
        or "evil" not in (Path(settings.DATA_DIR) / "postgres_password").read_text()
    )


def test_a_backup_that_fails_leaves_the_one_before(project: Project, tmp_path: Path) -> None:
    archive = tmp_path / "all.tar"
    archive.write_text("yesterday's")
    password, connection.settings_dict["PASSWORD"] = connection.settings_dict["PASSWORD"], "wrong"
    try:
        with pytest.raises(CommandError, match=r"^pg_dump failed: .*password") as refused:
            back_up(archive)
    finally:
        connection.settings_dict["PASSWORD"] = password
    assert password not in str(refused.value)
    assert archive.read_text() == "yesterday's"
    assert [path.name for path in tmp_path.iterdir()] == ["all.tar"]
