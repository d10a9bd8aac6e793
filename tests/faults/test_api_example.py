"""The example of a program at the API, run as it stands: a server that listens, workers that work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytest_django.live_server_helper import LiveServer

from datasets.models import ApiToken, Conversation
from examples import api
from tests.faults.stage import Stage
from tests.workers import Worker


def test_a_folder_becomes_a_training_file_by_the_example(
    stage: Stage, steady_worker: Worker, live_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "Pumps", tmp_path / "out.jsonl"
    folder.mkdir()
    (folder / "pump.md").write_text(
        "# The pump\n\nIt is serviced every seven weeks. Its filter is washed in warm water.\n"
    )
    monkeypatch.setenv("TOKEN", ApiToken.issue(stage.user, "example")[1])
    api.main(live_server.url, "By the example", folder, out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert all(row["messages"][-1]["role"] == "assistant" for row in rows)
    approved = Conversation.objects.filter(project__name="By the example", status="approved").count()
    assert len(rows) == approved > 0


def test_a_refusal_ends_the_example_with_its_sentence(
    stage: Stage, live_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "aiw_no_such_token")
    with pytest.raises(SystemExit, match="Send a valid token"):
        api.main(live_server.url, "Nobody's", tmp_path, tmp_path / "out.jsonl")
