"""The main job without a browser: `manage.py generate FOLDER --out FILE`."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from datasets.models import Conversation, SourceFile
from generation.models import Endpoint, Run
from tests.fixtures_model_server import RunningModelServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "manual"
    (folder / "more").mkdir(parents=True)
    (folder / "reset.md").write_text("# Reset\n\nHold the round button for ten seconds. The lamp then blinks green.\n")
    (folder / "more" / "power.txt").write_text("The charger gives 12 volts. A full battery lasts for nine days.\n")
    return folder


def generate(folder: Path, out: Path, **options: Any) -> str:
    said = StringIO()
    call_command("generate", folder, out=out, stderr=said, **options)
    return said.getvalue()


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_a_folder_becomes_a_file_of_conversations(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    said = generate(folder, out, dialogs=5, turns=2)
    made = rows(out)
    assert len(made) == 5
    assert all([message["role"] for message in row["messages"]][:2] == ["user", "assistant"] for row in made)
    assert all(len(row["messages"]) <= 4 for row in made)
    assert "5 conversations" in said
    assert "offline model" in said


def test_a_second_call_reads_nothing_again_and_writes_only_its_own(folder: Path, tmp_path: Path) -> None:
    generate(folder, tmp_path / "first.jsonl", dialogs=2)
    read = set(SourceFile.objects.values_list("pk", "revision"))
    generate(folder, tmp_path / "second.jsonl", dialogs=3)
    assert set(SourceFile.objects.values_list("pk", "revision")) == read
    assert len(rows(tmp_path / "second.jsonl")) == 3
    assert Conversation.objects.count() == 5


def test_a_file_that_cannot_be_read_is_named_and_the_rest_goes_on(folder: Path, tmp_path: Path) -> None:
    (folder / "empty.pdf").touch()
    assert "empty.pdf: The file is empty" in generate(folder, tmp_path / "out.jsonl", dialogs=1)
    assert len(rows(tmp_path / "out.jsonl")) == 1


def test_a_named_endpoint_is_asked(folder: Path, tmp_path: Path, model_server: RunningModelServer) -> None:
    generate(folder, tmp_path / "first.jsonl", dialogs=1)
    project = Run.objects.get().project
    Endpoint.objects.create(
        project=project, name="Own server", preset="custom", base_url=model_server.base_url, chat_model="some-model"
    )
    said = generate(folder, tmp_path / "out.jsonl", dialogs=4, turns=1, endpoint="own server", concurrency=2)
    assert len(rows(tmp_path / "out.jsonl")) == 4
    assert model_server.stats()["requests"]["/v1/chat/completions"] == 8
    assert "offline" not in said


def test_a_refused_key_ends_it_with_the_servers_words(
    folder: Path, tmp_path: Path, model_server: RunningModelServer
) -> None:
    generate(folder, tmp_path / "first.jsonl", dialogs=1)
    Endpoint.objects.create(
        project=Run.objects.get().project, name="Own", preset="custom", base_url=model_server.base_url, chat_model="m"
    )
    model_server.control(keys=["right"])
    with pytest.raises(CommandError, match=r"401|key"):
        generate(folder, tmp_path / "out.jsonl", dialogs=2, endpoint="Own")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"endpoint": "Nowhere"}, "has no endpoint “Nowhere”. It has: “Offline model”"),
        ({"dialogs": 0}, "greater than or equal to 1"),
        ({"project": "unknown"}, "There is no project “unknown”"),
    ],
)
def test_bad_options_are_one_sentence(folder: Path, tmp_path: Path, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        generate(folder, tmp_path / "out.jsonl", **options)


def test_a_folder_without_documents_says_so(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(CommandError, match="no passages"):
        generate(tmp_path / "nothing", tmp_path / "out.jsonl")


def test_a_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is not a folder"):
        generate(tmp_path / "absent", tmp_path / "out.jsonl")
