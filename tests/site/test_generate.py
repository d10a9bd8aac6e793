"""The main job without a browser: `manage.py generate FOLDER --out FILE`."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from qdrant_client import QdrantClient, models

from datasets.models import Conversation, Corpus, Document, Persona, SourceFile
from generation.models import Endpoint, Run
from tests.datasets.adopting import adopt
from tests.fixtures_foreign_qdrant import ForeignQdrant
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


# -- a config file of AfterImage ------------------------------------------------------------------------------------------


def config_file(tmp_path: Path, **sections: Any) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"respondent": {"system_prompt": "You help with the device."}, **sections}))
    return path


def follow(config: Path, **options: Any) -> tuple[str, str]:
    """What the command says on either stream."""
    said, told = StringIO(), StringIO()
    call_command("generate", config=config, stdout=told, stderr=said, **options)
    return told.getvalue(), said.getvalue()


def test_a_config_is_carried_out_as_it_is(
    folder: Path, tmp_path: Path, model_server: RunningModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = config_file(
        tmp_path,
        model={"provider": "local", "model_name": "some-model", "base_url": model_server.base_url},
        documents={"path": "manual"},
        context={"num_random_contexts": 1, "n_instructions": 2},
        generation={"num_dialogs": 4, "max_turns": 2},
        output={"path": "rows.jsonl", "export": {"formats": ["sharegpt", "oumi", "alpaka"], "output_dir": "more"}},
    )
    _, said = follow(config)
    made = rows(tmp_path / "rows.jsonl")
    assert len(made) == 4
    assert list(made[0]) == ["conversations", "metadata", "instruction_context", "response_context", "persona"]
    assert made[0]["response_context"]
    assert [len(rows(tmp_path / "more" / f"rows_{name}.jsonl")) for name in ("sharegpt", "oumi")] == [4, 4]
    assert "there is no “alpaka” here" in said
    run = Run.objects.get()
    assert (run.spec["conversations"], run.spec["concurrency"], run.offline) == (4, 8, False)
    endpoint = Endpoint.objects.get(base_url=model_server.base_url)
    assert (endpoint.chat_model, endpoint.keys.count()) == ("some-model", 0)

    follow(config, dialogs=1, out=tmp_path / "again.jsonl", format="messages")
    assert len(rows(tmp_path / "again.jsonl")) == 1
    assert list(rows(tmp_path / "again.jsonl")[0]) == ["messages"]
    assert Endpoint.objects.filter(base_url=model_server.base_url).count() == 1


def talks(**sections: Any) -> dict[str, Any]:
    """Conversations of the offline model about one document each."""
    context = {"num_random_contexts": 1, "n_instructions": 1}
    return {"documents": {"path": "many"}, "context": context, "generation": {"num_dialogs": 12}} | sections


@pytest.fixture
def many(tmp_path: Path) -> None:
    """Twelve documents in the folder `many`, so different that each question about them is a new one."""
    (tmp_path / "many").mkdir()
    things = [
        "kettle",
        "harbour",
        "violin",
        "glacier",
        "orchard",
        "compass",
        "lantern",
        "parchment",
        "tunnel",
        "falcon",
        "mosaic",
        "furnace",
    ]
    for n, thing in enumerate(things):
        text = f"Every {thing} needs care. A {thing} of the {things[n - 1]} kind is kept {n + 2} years in the {thing} room."
        (tmp_path / "many" / f"{thing}.txt").write_text(text)


def asked(path: Path) -> set[str]:
    return {row["messages"][0]["content"] for row in rows(path)}


@pytest.mark.usefixtures("many")
def test_exports_of_a_config_are_split_by_its_share_and_seed(tmp_path: Path) -> None:
    export = {"formats": ["messages", "alpaca", "dpo"], "output_dir": str(tmp_path / "more"), "split": 0.25, "seed": 5}
    config = config_file(tmp_path, **talks(output={"export": export}, analytics={"auto_analyze": True}))
    _, said = follow(config, out=tmp_path / "rows.jsonl", endpoint="Offline model")
    train, held = (tmp_path / "more" / f"rows_messages_{side}.jsonl" for side in ("train", "val"))
    assert (len(rows(train)), len(rows(held))) == (9, 3)
    assert len(asked(train) | asked(held)) == len(
        {row["conversations"][0]["content"] for row in rows(tmp_path / "rows.jsonl")}
    )
    contexts = {row["conversations"][0]["content"]: row["instruction_context"] for row in rows(tmp_path / "rows.jsonl")}
    assert not {contexts[one] for one in asked(train)} & {contexts[one] for one in asked(held)}
    assert len(rows(tmp_path / "more" / "rows_alpaca_val.jsonl")) <= 3
    assert "dpo is not written: No conversation that matches has two answers" in said
    assert not (tmp_path / "more" / "rows_messages.jsonl").exists()
    report = (tmp_path / "rows.html").read_text()
    assert report.startswith("<!doctype html>")
    assert "12" in report
    assert f"The report is in {tmp_path / 'rows.html'}" in said


@pytest.mark.usefixtures("many")
def test_conversations_that_a_format_cannot_hold_are_counted_with_the_reason(tmp_path: Path) -> None:
    export = {"formats": ["alpaca"], "split": 0.25}
    generation = {"num_dialogs": 12, "max_turns": 3}
    config = config_file(tmp_path, **talks(generation=generation, output={"export": export}))
    _, said = follow(config, out=tmp_path / "rows.jsonl", endpoint="Offline model")
    longer = sum(len(row["conversations"]) > 2 for row in rows(tmp_path / "rows.jsonl"))
    written = sum(len(rows(tmp_path / f"rows_alpaca_{side}.jsonl")) for side in ("train", "val"))
    assert written + longer == 12
    assert f"{tmp_path}/rows_alpaca_train.jsonl: {longer} conversations are left out. It has several turns" in said


@pytest.mark.usefixtures("many")
def test_a_split_that_is_not_shuffled_holds_back_the_first_rows(tmp_path: Path) -> None:
    export = {"formats": ["messages"], "split": 0.25, "shuffle": False}
    path = tmp_path / "report" / "of_it.html"
    analytics = {"auto_analyze": True, "output_path": str(path)}
    config = config_file(tmp_path, **talks(output={"export": export}, analytics=analytics))
    told, _ = follow(config, out=tmp_path / "rows.jsonl", endpoint="Offline model", dry_run=True)
    assert f"Report: {path}" in told
    for side in ("train", "val"):
        assert f"Also: {tmp_path}/rows_messages_{side}.jsonl" in told
    follow(config, out=tmp_path / "rows.jsonl", endpoint="Offline model")
    order = [row["conversations"][0]["content"] for row in rows(tmp_path / "rows.jsonl")]
    assert [row["messages"][0]["content"] for row in rows(tmp_path / "rows_messages_val.jsonl")] == order[:3]
    assert [row["messages"][0]["content"] for row in rows(tmp_path / "rows_messages_train.jsonl")] == order[3:]
    assert path.read_text().startswith("<!doctype html>")
    assert not (tmp_path / "rows.html").exists()


def test_conversations_that_all_share_their_documents_are_split_one_by_one_which_is_said(
    folder: Path, tmp_path: Path
) -> None:
    config = config_file(
        tmp_path,
        documents={"path": "manual"},
        context={"num_random_contexts": 2, "n_instructions": 1},
        generation={"num_dialogs": 10},
        output={"export": {"formats": ["messages"], "split": 0.2}},
    )
    _, said = follow(config, out=tmp_path / "rows.jsonl", endpoint="Offline model")
    assert len(rows(tmp_path / "rows_messages_val.jsonl")) == 2
    assert "too many rows are related for a share of 0.2. Rows are divided one by one." in said


def test_files_that_cannot_be_written_are_told_and_the_rows_are_there(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    export = {"formats": ["messages"], "output_dir": str(tmp_path / "rows.jsonl")}
    config = config_file(
        tmp_path,
        generation={"num_dialogs": 1},
        output={"export": export},
        analytics={"auto_analyze": True, "output_path": str(tmp_path / "taken")},
    )
    _, said = follow(config, out=tmp_path / "rows.jsonl", endpoint="Offline model")
    assert "messages is not written: " in said
    assert "The report is not written: " in said
    assert len(rows(tmp_path / "rows.jsonl")) == 1


def test_skills_of_a_config_are_named_and_the_run_goes_on_without_them(folder: Path, tmp_path: Path) -> None:
    config = config_file(
        tmp_path,
        documents={"path": "manual"},
        generation={"num_dialogs": 2},
        skills={"enabled": True, "path": "./skills"},
        skill={"output_dir": "./skills"},
    )
    told, _ = follow(config, out=tmp_path / "rows.jsonl", endpoint="Offline model", dry_run=True)
    _, said = follow(config, out=tmp_path / "rows.jsonl", endpoint="Offline model")
    for words in (told, said):
        assert words.count("Skills are not used here") == 1
    assert len(rows(tmp_path / "rows.jsonl")) == 2


def test_a_key_of_the_environment_is_sent_and_kept_sealed(
    tmp_path: Path, model_server: RunningModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_server.control(keys=["right"])
    config = config_file(
        tmp_path,
        model={"provider": "openai", "base_url": model_server.base_url, "api_key_env": "MINE"},
        generation={"num_dialogs": 1},
    )
    monkeypatch.delenv("MINE", raising=False)
    for dry_run in (True, False):
        with pytest.raises(CommandError, match="export MINE=your-key"):
            follow(config, out=tmp_path / "out.jsonl", dry_run=dry_run)
    monkeypatch.setenv("MINE", "right")
    follow(config, out=tmp_path / "out.jsonl")
    assert len(rows(tmp_path / "out.jsonl")) == 1
    [key] = Endpoint.objects.get(base_url=model_server.base_url).keys.all()
    assert key.reveal() == "right"


def test_personas_that_a_config_asks_for_are_grown_and_take_part(folder: Path, tmp_path: Path) -> None:
    config = config_file(
        tmp_path,
        documents={"path": "manual"},
        context={"num_random_contexts": 1, "n_instructions": 1},
        personas={"enabled": True, "n_iterations": 0},
        generation={"num_dialogs": 6, "stopping": [{"type": "persona_usage", "n_personas": 100}]},
    )
    _, said = follow(config, out=tmp_path / "out.jsonl", endpoint="Offline model")
    assert "Growing personas from 2 documents" in said
    assert Persona.objects.filter(proposed=False).count() == 10
    assert len({row["persona"] for row in rows(tmp_path / "out.jsonl")}) == 6
    _, said = follow(config, out=tmp_path / "out.jsonl", endpoint="Offline model")
    assert "Growing" not in said
    assert Persona.objects.count() == 10


def test_documents_may_be_lines_of_a_file(tmp_path: Path) -> None:
    lines = [{"body": f"The device number {n} weighs {n + 3} grams and is blue.", "id": f"d{n}"} for n in range(3)]
    (tmp_path / "docs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    config = config_file(
        tmp_path,
        documents={"provider": "jsonl", "path": "*.jsonl", "content_key": "body"},
        generation={"num_dialogs": None, "stopping": [{"type": "context_coverage"}]},
        context={"num_random_contexts": 1, "n_instructions": 1},
    )
    follow(config, out=tmp_path / "out.rows", endpoint="Offline model")
    assert len(rows(tmp_path / "out.rows")) == 3
    assert Document.objects.count() == 3


def opinions(qdrant: QdrantClient, *numbers: int, key: str = "body") -> None:
    """Points of somebody else's collection `court`, a text each."""
    if not qdrant.collection_exists("court"):
        qdrant.create_collection("court", models.VectorParams(size=4, distance=models.Distance.COSINE))
    held = [
        "a railroad may be sued",
        "a patent has no defense of laches",
        "a city is an aggrieved person",
        "rain is wet",
    ]
    points = [
        models.PointStruct(
            id=n, vector=[1.0, float(n), 0, 0], payload={key: f"The court held that {held[n]} in case {n}."}
        )
        for n in numbers
    ]
    qdrant.upsert("court", points)


def collection(url: str, **more: Any) -> dict[str, Any]:
    """Sections of a config that asks once about each point."""
    documents = {"provider": "qdrant", "url": url, "collection": "court"} | more
    stopping = [{"type": "context_coverage", "target_visits": 1}]
    return {
        "documents": documents,
        "context": {"num_random_contexts": 1, "n_instructions": 1},
        "generation": {"num_dialogs": None, "stopping": stopping},
    }


def test_documents_may_be_points_of_a_collection_which_is_only_read(
    tmp_path: Path, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    opinions(qdrant, 0, 1)
    foreign.control()
    config = config_file(tmp_path, **collection(foreign.url, content_key="body"))
    told, _ = follow(config, out=tmp_path / "out.jsonl", endpoint="Offline model", dry_run=True)
    assert "Documents: qdrant, collection court" in told
    follow(config, out=tmp_path / "out.jsonl", endpoint="Offline model")
    contexts = {row["response_context"] for row in rows(tmp_path / "out.jsonl")}
    assert contexts == {
        "The court held that a railroad may be sued in case 0.",
        "The court held that a patent has no defense of laches in case 1.",
    }
    corpus = Corpus.objects.get(adopted__isnull=False)
    assert (corpus.name, corpus.adopted and corpus.adopted.content_key) == ("court", "body")
    assert foreign.noted()["written"] == []

    read = set(SourceFile.objects.values_list("pk", "revision"))
    follow(config, out=tmp_path / "again.jsonl", endpoint="Offline model")
    assert len(rows(tmp_path / "again.jsonl")) == 2
    assert set(SourceFile.objects.values_list("pk", "revision")) == read
    opinions(qdrant, 2)
    follow(config, out=tmp_path / "grown.jsonl", endpoint="Offline model")
    assert len(rows(tmp_path / "grown.jsonl")) == 3
    assert Corpus.objects.filter(adopted__isnull=False).count() == 1


def test_another_content_key_is_another_corpus_of_the_same_collection(
    tmp_path: Path, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    opinions(qdrant, 0)
    opinions(qdrant, 1, key="text")
    for key in ("body", "text"):
        config = config_file(tmp_path, **collection(foreign.url + "/", content_key=key))
        follow(config, out=tmp_path / f"{key}.jsonl", endpoint="Offline model")
    assert [len(rows(tmp_path / f"{key}.jsonl")) for key in ("body", "text")] == [1, 1]
    assert set(Corpus.objects.filter(adopted__isnull=False).values_list("name", flat=True)) == {"court", "court 2"}


def test_a_collection_that_cannot_be_read_ends_it_with_one_sentence(
    tmp_path: Path, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    opinions(qdrant, 0)
    wrong = {
        "no such collection": collection(foreign.url, collection="absent"),
        "has a text under “text”. There are body": collection(foreign.url),
        "nothing answers there": collection("http://127.0.0.1:9"),
    }
    for sentence, sections in wrong.items():
        with pytest.raises(CommandError, match=sentence):
            follow(config_file(tmp_path, **sections), out=tmp_path / "out.jsonl", endpoint="Offline model")
    assert not Run.objects.exists()
    assert not Corpus.objects.filter(adopted__isnull=False).exists()


def test_a_collection_that_wants_a_key_is_found_once_it_was_adopted_with_it(
    tmp_path: Path, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    opinions(qdrant, 0)
    foreign.control(key="secret")
    config = config_file(tmp_path, **collection(foreign.url, content_key="body"))
    with pytest.raises(CommandError, match="adopt the collection under Corpora with its key"):
        follow(config, out=tmp_path / "out.jsonl", endpoint="Offline model")
    project = Endpoint.objects.get(preset="offline").project
    adopt(project, foreign, key="secret", content_key="body")
    follow(config, out=tmp_path / "out.jsonl", endpoint="Offline model")
    assert len(rows(tmp_path / "out.jsonl")) == 1


def test_preference_pairs_are_made_as_the_config_says(
    folder: Path, tmp_path: Path, model_server: RunningModelServer
) -> None:
    config = config_file(
        tmp_path,
        model={"provider": "local", "model_name": "m", "base_url": model_server.base_url},
        documents={"path": "manual"},
        preference={"num_pairs": 6, "num_responses": 3, "min_score_gap": 0.0, "output_format": "orpo"},
    )
    told, _ = follow(config, preference=True, dry_run=True)
    assert "Pairs: 6, of 3 answers by temperature, 0.0 apart" in told
    assert "preferences.jsonl (orpo)" in told
    follow(config, preference=True, out=tmp_path / "pairs.jsonl")
    run = Run.objects.get()
    assert (run.spec["product"]["kind"], run.spec["product"]["answers"], run.spec["max_turns"]) == ("pairs", 3, 1)
    assert {"prompt", "chosen", "rejected", "chosen_score", "rejected_score"} <= set(rows(tmp_path / "pairs.jsonl")[0])


def test_a_dry_run_says_what_would_be_done_and_does_nothing(tmp_path: Path) -> None:
    config = config_file(
        tmp_path,
        model={"provider": "local", "model_name": "m"},
        documents={"path": "manual"},
        generation={"num_dialogs": 12, "max_turns": 3, "stopping": [{"type": "budget", "max_total_tokens": 5}]},
        preference={},
    )
    told, _ = follow(config, dry_run=True)
    for words in ("m, local at http://localhost:8000/v1", f"directory, {tmp_path / 'manual'}", "12, of 1 to 3 turns",
                  "budget", "At once: 8", "afterimage_output.jsonl (raw)", "section preference"):  # fmt: skip
        assert words in told
    assert not Run.objects.exists()
    assert not Endpoint.objects.exists()


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        ({"generation": {"num_dialog": 3}}, "did you mean “num_dialogs”"),
        ({"respondent": {}}, "give system_prompt or system_prompt_file"),
        ({"documents": {"path": "nowhere"}}, "documents.path is no folder: .*nowhere"),
        ({"documents": {"provider": "file", "path": "*.nothing"}}, "leads to no file"),
        (
            {"model": {"provider": "local", "base_url": "nonsense"}, "documents": None},
            "“model.base_url”: Enter an address",
        ),
        ({"output": {"storage": "sql", "path": "postgresql://x"}}, "output.path names a database"),
        ({"output": {"path": "no/such/folder/x.jsonl"}}, "does not exist: make the folder first"),
        ({"generation": {"max_turns": 60}}, "less than or equal to 50"),
    ],
)
def test_a_config_that_cannot_be_carried_out_is_one_sentence(
    sections: dict[str, Any], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = config_file(tmp_path, **{"model": {"provider": "local"}, **sections})
    with pytest.raises(CommandError, match=sentence):
        follow(config)
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        ([], {}, "Name a folder of documents, or a config file"),
        (["FOLDER"], {"config": "CONFIG"}, "not both"),
        (["FOLDER"], {}, "Say with --out"),
        (["FOLDER"], {"out": "x.jsonl", "dry_run": True}, "Only a config has a plan"),
        (["FOLDER"], {"out": "x.jsonl", "preference": True}, "Only a config says how pairs"),
        ([], {"config": "absent.yaml"}, "absent.yaml cannot be read"),
    ],
)
def test_a_call_that_says_too_little_or_too_much_is_refused(
    arguments: list[str], options: dict[str, Any], sentence: str, folder: Path, tmp_path: Path
) -> None:
    places = {"FOLDER": folder, "CONFIG": config_file(tmp_path)}
    given = {
        name: Path(places.get(value, value)) if name in ("config", "out") else value for name, value in options.items()
    }
    with pytest.raises(CommandError, match=sentence):
        call_command("generate", *[places[word] for word in arguments], stderr=StringIO(), **given)
