"""What a page can do, a program can do: projects, people, servers, recipes and decisions on many, by the API alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from datasets import tasks
from datasets.models import BulkAction, Conversation, Corpus, Project, SourceFile, User
from datasets.services.curating.bulk import advance
from generation import tasks as press_tasks
from generation.models import Endpoint, Run, Trial
from generation.services.trials import carry_out
from tests.api_program import Program, refusal
from tests.factories import make_conversation, make_user
from tests.fixtures_model_server import RunningModelServer
from tests.generation.api_recipes import passages_of, recipe_for

pytestmark = pytest.mark.django_db
HOME = "/projects/handbook"


@pytest.fixture
def program(project: Project, owner: User) -> Program:
    return Program.of(owner)


def change(program: Program, method: str, path: str, body: Any) -> Any:
    answer = program.call(method, path, body)
    assert answer.status_code == 200, answer.content
    return answer.json()


# -- projects -----------------------------------------------------------------------------------------------------------


def test_a_project_is_made_changed_shared_and_deleted(program: Program) -> None:
    made = program.post("/projects", {"name": "Court opinions"})
    assert (made["slug"], made["role"], made["counts"]["prompts"]) == ("court-opinions", "owner", 2)
    path = f"/projects/{made['slug']}"
    assert change(program, "PATCH", path, {"description": "Public."})["name"] == "Court opinions"
    friend = make_user("friend")
    member = program.post(f"{path}/members", {"username": "friend", "role": "viewer"})
    assert Program.of(friend).get(path)["role"] == "viewer"
    assert change(program, "PATCH", f"{path}/members/{member['id']}", {"role": "curator"})["role"] == "curator"
    program.delete(f"{path}/members/{member['id']}")
    refusal(Program.of(friend).call("GET", path), 404)
    assert program.get(f"{path}/activities")["items"][0]["text"] == "removed friend"
    assert "exact name" in refusal(program.call("DELETE", path, name="court-opinions"), 422)
    assert program.call("DELETE", path, name="Court opinions").status_code == 204


def test_the_last_owner_stays(program: Program, owner: User) -> None:
    (only,) = [row for row in program.get(f"{HOME}/members")["items"] if row["role"] == "owner"]
    answer = program.call("PATCH", f"{HOME}/members/{only['id']}", {"role": "viewer"})
    assert "needs an owner" in refusal(answer, 422)
    assert "Nobody here" in refusal(program.call("POST", f"{HOME}/members", {"username": "who", "role": "viewer"}), 422)


# -- endpoints ----------------------------------------------------------------------------------------------------------


def test_an_endpoint_is_set_up_tested_and_its_key_never_comes_out(
    program: Program,
    model_server: RunningModelServer,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    body = {"preset": "custom", "name": "Here", "base_url": model_server.base_url, "chat_model": "tiny", "key": "s3cret-key",
            "prices": [{"model": "", "prompt": "0.5", "completion": "1.5"}]}  # fmt: skip
    made = program.post(f"{HOME}/endpoints", body)
    assert (made["keys"], made["timeout"], made["prices"][0]["prompt"]) == (1, 120, "0.500000")
    path = f"{HOME}/endpoints/{made['id']}"
    assert "s3cret" not in json.dumps([made, program.get(path), program.get(f"{path}/keys")])
    sent: list[int] = []
    monkeypatch.setattr(press_tasks.run_trial, "delay", sent.append)
    with django_capture_on_commit_callbacks(execute=True):
        trial = program.post(f"{path}/test")
    assert (trial["kind"], trial["state"], sent) == ("endpoint", "waiting", [trial["id"]])


@pytest.mark.django_db(transaction=True)
def test_a_trial_says_what_came_of_it(program: Program, project: Project, owner: User) -> None:
    offline = project.endpoints.get(preset="offline")
    trial = program.post(f"{HOME}/endpoints/{offline.pk}/test")
    carry_out(trial_id=trial["id"])
    told = program.get(f"{HOME}/trials/{trial['id']}")
    assert told["state"] == Trial.State.DONE
    assert told["result"]["chat"]["reply"]


def test_a_changed_address_wants_the_key_again_and_what_is_left_out_stays(program: Program, project: Project) -> None:
    body = {
        "preset": "custom",
        "name": "There",
        "base_url": "http://127.0.0.1:9/v1",
        "chat_model": "tiny",
        "key": "one",
    }
    made = program.post(f"{HOME}/endpoints", body)
    path = f"{HOME}/endpoints/{made['id']}"
    assert change(program, "PATCH", path, {"chat_model": "other"})["base_url"] == "http://127.0.0.1:9/v1"
    answer = program.call("PATCH", path, {"base_url": "http://127.0.0.1:10/v1"})
    assert "enter the key again" in refusal(answer, 422)
    assert answer.json()["field"] == "key"
    assert change(program, "PATCH", path, {"base_url": "http://127.0.0.1:10/v1", "key": "two"})["keys"] == 1
    assert Endpoint.objects.get(pk=made["id"]).chat_model == "other"
    program.delete(path)


def test_keys_are_added_limited_switched_off_and_removed(program: Program) -> None:
    made = program.post(f"{HOME}/endpoints", {"preset": "ollama", "chat_model": "tiny"})
    path = f"{HOME}/endpoints/{made['id']}/keys"
    key = program.post(path, {"key": "sk-first-key", "name": "Ann", "hourly_limit": 10})
    assert (key["name"], key["hourly_limit"], key["state"]) == ("Ann", 10, "ready")
    assert "stored already" in refusal(program.call("POST", path, {"key": "sk-first-key"}), 422)
    changed = change(program, "PATCH", f"{path}/{key['id']}", {"hourly_limit": None, "active": False})
    assert (changed["name"], changed["hourly_limit"], changed["state"]) == ("Ann", None, "off")
    program.delete(f"{path}/{key['id']}")
    assert program.get(path) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"preset": "nobody"}, "preset"),
        ({"preset": "offline"}, "preset"),
        ({"preset": "openai", "chat_model": "gpt"}, "key"),
        ({"preset": "custom", "chat_model": "x"}, "base_url"),
        ({"preset": "custom", "base_url": "ftp://x", "chat_model": "x"}, "base_url"),
        ({"preset": "custom", "base_url": "http://169.254.169.254/v1", "chat_model": "x"}, "base_url"),
        ({"preset": "custom", "base_url": "http://127.0.0.1:9/v1"}, "chat_model"),
        ({"preset": "ollama", "chat_model": "x", "key": "with\nline"}, "key"),
        ({"preset": "ollama", "chat_model": "x", "prices": [{"prompt": "-1", "completion": "1"}]}, "prices.0.prompt"),
        ({"preset": "ollama", "chat_model": "x", "prices": [{"prompt": 1, "completion": 1}] * 2}, "prices"),
    ],
)
def test_a_bad_endpoint_is_refused_with_its_field(
    program: Program, project: Project, body: dict[str, Any], field: str
) -> None:
    answer = program.call("POST", f"{HOME}/endpoints", body)
    assert refusal(answer, 422)
    assert answer.json()["field"] == field
    assert project.endpoints.count() == 1


def test_the_offline_model_stays_as_it_is(program: Program, project: Project) -> None:
    path = f"{HOME}/endpoints/{project.endpoints.get().pk}"
    assert "offline model" in refusal(program.call("PATCH", path, {"name": "Mine"}), 422)
    assert "offline model" in refusal(program.call("DELETE", path), 422)
    assert "offline model" in refusal(program.call("POST", f"{path}/keys", {"key": "x"}), 422)


# -- recipes and runs ---------------------------------------------------------------------------------------------------


def test_a_recipe_goes_out_as_a_text_and_comes_back_as_it_was(program: Program, project: Project) -> None:
    recipe = recipe_for(project, corpus=passages_of(project, 2))
    kept = program.post(f"{HOME}/recipes", {"name": "Short", "recipe": recipe})
    path = f"{HOME}/recipes/{kept['id']}"
    text = program.call("GET", f"{path}/yaml").content.decode()
    assert "respondent_prompt: Expert" in text
    assert program.post(f"{HOME}/recipes/read", {"text": text})["recipe"] == program.get(path)["recipe"]
    program.delete(path)
    refusal(program.call("GET", path), 404)
    assert "None such" in refusal(program.call("POST", f"{HOME}/recipes/read", {"text": "corpus: None such"}), 422)


def test_a_config_of_the_library_becomes_a_recipe_that_can_be_launched(program: Program, project: Project) -> None:
    offline = project.endpoints.get().pk
    config = "respondent: {system_prompt: Be right.}\ngeneration: {num_dialogs: 3}\nskills: {enabled: true}\n"
    read = program.post(f"{HOME}/recipes/read-config", {"config": config, "endpoint": offline})
    assert read["recipe"]["conversations"] == 3
    assert any("Skills" in note for note in read["notes"])
    run = program.post(f"{HOME}/runs", {"recipe": read["recipe"]})
    assert run["conversations"] == 3
    answer = program.call("POST", f"{HOME}/recipes/read-config", {"config": "respondant: {}", "endpoint": offline})
    assert "did you mean “respondent”" in refusal(answer, 422)
    assert answer.json()["field"] == "config"


def test_the_budget_of_a_run_is_changed_and_its_recipe_is_read(program: Program, project: Project) -> None:
    run = program.post(f"{HOME}/runs", {"recipe": recipe_for(project, corpus=passages_of(project, 2))})
    path = f"{HOME}/runs/{run['id']}"
    changed = change(program, "PUT", f"{path}/budget", {"tokens": 500, "money": "2.5"})
    assert changed["recipe"]["budget"] == {"tokens": 500, "money": "2.5"}
    assert Run.objects.get(pk=run["id"]).spec["budget"]["tokens"] == 500
    assert "conversations: 4" in program.call("GET", f"{path}/recipe").content.decode()
    assert "greater than" in refusal(program.call("PUT", f"{path}/budget", {"tokens": 0}), 422)


def test_a_preview_of_what_the_project_lacks_is_refused(program: Program, project: Project) -> None:
    recipe = recipe_for(project, corpus=None) | {"corpus": 10**9}
    answer = program.call("POST", f"{HOME}/runs/preview", {"recipe": recipe})
    assert "not in this project" in refusal(answer, 422)
    assert not Trial.objects.exists()


# -- what a project has -------------------------------------------------------------------------------------------------


def test_prompts_personas_criteria_and_tools_are_put_away_and_taken_out(program: Program) -> None:
    made = {
        "prompts": program.post(f"{HOME}/prompts", {"name": "A", "role": "respondent", "text": "Be right."}),
        "personas": program.post(f"{HOME}/personas", {"name": "A", "description": "Asks."}),
        "criteria": program.post(f"{HOME}/criteria", {"name": "Tone", "description": "Warm."}),
        "tools": program.post(f"{HOME}/tools", {"name": "clock"}),
    }
    for room, row in made.items():
        path = f"{HOME}/{room}/{row['id']}"
        assert change(program, "PATCH", path, {"archived": True})["archived"]
        assert row["id"] not in [one["id"] for one in program.get(f"{HOME}/{room}")["items"]]
        assert not change(program, "PATCH", path, {"archived": False})["archived"]
        assert program.get(path)["name"] == row["name"]


def test_tools_are_imported_from_a_text_and_changed(program: Program) -> None:
    text = json.dumps([{"name": name, "parameters": {"type": "object", "properties": {}}} for name in ("clock", "map")])
    assert program.post(f"{HOME}/tools/import", {"text": text})["new"] == ["clock", "map"]
    answer = change(program, "POST", f"{HOME}/tools/import", {"text": text})
    assert answer["same"] == ["clock", "map"]
    (clock, _) = program.get(f"{HOME}/tools")["items"]
    changed = change(program, "PUT", f"{HOME}/tools/{clock['id']}", {"name": "clock", "description": "Tells the time."})
    assert changed["description"] == "Tells the time."
    answer = program.call("POST", f"{HOME}/tools/import", {"text": "nothing"})
    assert refusal(answer, 422)
    assert answer.json()["field"] == "text"


def test_a_corpus_is_renamed_and_cut_otherwise(program: Program, project: Project) -> None:
    corpus = Corpus.objects.get(pk=passages_of(project, 2))
    path = f"{HOME}/corpora/{corpus.pk}"
    assert change(program, "PATCH", path, {"name": "Renamed"})["open_files"] == 0
    assert change(program, "PATCH", path, {"chunk_size": 400})["open_files"] == 1
    answer = program.call("PATCH", path, {"chunk_overlap": 300})
    assert (refusal(answer, 422), answer.json()["field"]) == (answer.json()["detail"], "chunk_overlap")


def test_a_file_is_read_again_with_another_column(program: Program, project: Project) -> None:
    corpus = Corpus.objects.get(pk=passages_of(project, 2))
    path = f"{HOME}/corpora/{corpus.pk}/files/{corpus.files.get().pk}"
    assert change(program, "POST", f"{path}/reread", None)["state"] == SourceFile.State.WAITING
    assert change(program, "POST", f"{path}/reread", {"column": "text"})["options"] == {"column": "text"}
    assert "no stored content" in refusal(program.call("GET", f"{path}/original"), 422)


# -- conversations ------------------------------------------------------------------------------------------------------


def test_many_are_decided_on_and_it_is_taken_back(
    program: Program,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    for _ in range(3):
        make_conversation(project)
    monkeypatch.setattr(tasks.carry_on_bulk, "delay", carried_out)
    with django_capture_on_commit_callbacks(execute=True):
        action = program.post(f"{HOME}/conversations/bulk", {"decision": "approved"})
    assert action["total"] == 3
    path = f"{HOME}/conversations/bulk/{action['id']}"
    assert (program.get(path)["state"], Conversation.objects.filter(status="approved").count()) == ("done", 3)
    with django_capture_on_commit_callbacks(execute=True):
        assert change(program, "POST", f"{path}/undo", None)["state"] == "undoing"
    assert (program.get(path)["state"], Conversation.objects.filter(status="generated").count()) == ("undone", 3)
    with django_capture_on_commit_callbacks(execute=True):
        labelled = program.post(f"{HOME}/conversations/bulk", {"label": "all"})
    assert labelled["label"]["name"] == "all"
    assert BulkAction.objects.count() == 2
    for body in ({}, {"decision": "approved", "label": "x"}):
        assert "Choose what to do" in refusal(program.call("POST", f"{HOME}/conversations/bulk", body), 422)
    assert "statuss" in refusal(
        program.call("POST", f"{HOME}/conversations/bulk", {"filter": {"statuss": "x"}, "decision": "approved"}), 422
    )


def carried_out(action: int) -> None:
    while advance(action_id=action):
        pass


def test_versions_notes_and_labels_of_a_conversation(program: Program, project: Project) -> None:
    conversation = make_conversation(project)
    path = f"{HOME}/conversations/{conversation.pk}"
    (version,) = program.get(f"{path}/versions")["items"]
    assert (version["number"], version["counts"], len(version["messages"])) == (1, True, 2)
    note = program.post(f"{path}/notes", {"text": "Look."})
    program.delete(f"{path}/notes/{note['id']}")
    assert program.get(path)["notes"] == []
    (label,) = program.call("POST", f"{path}/labels", {"name": "good"}).json()
    assert change(program, "PATCH", f"{HOME}/labels/{label['id']}", {"name": "better"})["name"] == "better"
    program.delete(f"{HOME}/labels/{label['id']}")
    assert program.get(path)["labels"] == []
