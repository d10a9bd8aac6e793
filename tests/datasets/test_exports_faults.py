"""Workers that are killed while they write an export, or carry on a bulk action."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
from datetime import timedelta
from zipfile import is_zipfile

import pytest
from django.conf import settings
from django.utils import timezone

from datasets import tasks
from datasets.filters import ConversationFilter
from datasets.formats import Options
from datasets.formats.splitting import Split
from datasets.models import Export, Project, Review, User
from datasets.services.curating import bulk
from datasets.services.publishing import exports
from tests.factories import make_conversation
from tests.workers import ROOT, addresses

pytestmark = pytest.mark.django_db(transaction=True)


def killed_at(work: str, pk: int) -> None:
    command = [sys.executable, "-m", "tests.datasets.dying_exporter", work, str(pk)]
    environment = os.environ | addresses()
    assert subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == -signal.SIGKILL


@pytest.mark.parametrize("split", [None, Split(0.4)])
def test_a_killed_export_is_written_whole_by_the_next_worker(
    project: Project, owner: User, split: Split | None
) -> None:
    for n in range(5):
        make_conversation(project, f"Question {n}?", "Yes.")
    export = exports.start_export(
        project=project, actor=owner, filter=ConversationFilter(), format="messages", options=Options(), split=split
    )
    killed_at("write_export", export.pk)
    export.refresh_from_db()
    assert (export.state, export.rows_written, export.file.name) == ("writing", 2, "")
    assert list(Export.objects.waiting()) == []
    Export.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    tasks.write_export(export.pk)
    export.refresh_from_db()
    assert (export.state, export.rows_written) == ("ready", 5)
    assert export.rows_held == (2 if split else 0)
    with export.file.open("rb") as file:
        content = file.read()
    assert hashlib.sha256(content).hexdigest() == export.sha256
    assert is_zipfile(io.BytesIO(content)) if split else len(content.splitlines()) == 5
    assert not list((settings.MEDIA_ROOT / "exports").glob(f".{export.pk}-*"))


def test_a_killed_bulk_action_is_carried_on_without_deciding_anything_twice(project: Project, owner: User) -> None:
    for _ in range(5):
        make_conversation(project)
    action = bulk.start_bulk(
        project=project, actor=owner, filter=ConversationFilter(), decision="approved", up_to=bulk.newest_id(project)
    )
    killed_at("carry_on_bulk", action.pk)
    assert project.conversations.filter(status="approved").count() == Review.objects.count() == 2
    tasks.carry_on_bulk(action.pk)
    action.refresh_from_db()
    assert (action.state, action.done, Review.objects.count()) == ("done", 5, 5)
    assert not project.conversations.exclude(status="approved").exists()
