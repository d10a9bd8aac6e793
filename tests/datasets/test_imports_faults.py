"""A worker that is killed while it imports conversations."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from datasets import tasks
from datasets.models import Project, User
from datasets.services.curating import imports
from tests.workers import ROOT, addresses

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_killed_import_is_carried_on_without_doubling_a_row(project: Project, owner: User) -> None:
    rows = [{"conversations": [{"role": "user", "content": f"Question {n}?"}], "final_score": 0.5} for n in range(6)]
    file = SimpleUploadedFile("talks.jsonl", "\n".join(map(json.dumps, rows)).encode())
    row = imports.start_import(row=imports.store_import(project=project, file=file, actor=owner), actor=owner)
    command = [sys.executable, "-m", "tests.datasets.dying_importer", str(row.pk)]
    environment = os.environ | addresses()
    assert subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == -signal.SIGKILL
    row.refresh_from_db()
    assert (row.state, row.rows, project.conversations.count()) == ("running", 2, 2)
    tasks.carry_on_import(row.pk)
    row.refresh_from_db()
    assert (row.state, row.rows) == ("done", 6)
    openings = list(project.conversations.order_by("pk").values_list("opening", flat=True))
    assert openings == [f"Question {n}?" for n in range(6)]
