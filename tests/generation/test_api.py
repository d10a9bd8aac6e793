"""The press through its API: recipes in, runs and rows out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from pytest_django import DjangoCaptureOnCommitCallbacks

from datasets import tasks
from datasets.models import Project, User
from generation.models import Endpoint, EndpointKey, Run, Slot
from generation.services.running import runs
from generation.services.running.pulling import RUNS
from tests.api_program import Program, refusal
from tests.factories import make_project
from tests.generation.api_recipes import passages_of, recipe_for

pytestmark = pytest.mark.django_db
HOME = "/projects/handbook"


@pytest.fixture
def program(teammate: User) -> Program:
    """Acts for a curator."""
    return Program.of(teammate)


@pytest.fixture
def recipe(project: Project) -> dict[str, Any]:
    return recipe_for(project, corpus=passages_of(project, 3))


def launched(program: Program, recipe: dict[str, Any], **more: Any) -> dict[str, Any]:
    return program.post(f"{HOME}/runs", {"recipe": recipe, **more})


# -- endpoints and recipes ----------------------------------------------------------------------------------------------


def test_endpoints_are_listed_and_their_keys_are_not(project: Project, program: Program) -> None:
    endpoint = Endpoint.objects.create(
        project=project, name="Ours", preset="vllm", base_url="http://models.example/v1", chat_model="small"
    )
    EndpointKey.seal(endpoint, "sk-very-secret-0123456789").save()
    answer = program.call("GET", f"{HOME}/endpoints")
    offline, ours = answer.json()["items"]
    assert (offline["offline"], offline["keys"]) == (True, 0)
    assert (ours["name"], ours["offline"], ours["keys"]) == ("Ours", False, 1)
    assert b"secret" not in answer.content
    assert b"6789" not in answer.content


def test_a_recipe_is_kept_and_replaced_under_its_name(program: Program, recipe: dict[str, Any]) -> None:
    program.post(f"{HOME}/recipes", {"name": "Short", "recipe": recipe})
    program.post(f"{HOME}/recipes", {"name": "Short", "recipe": recipe | {"conversations": 9}})
    (kept,) = program.get(f"{HOME}/recipes")["items"]
    assert (kept["name"], kept["recipe"]["conversations"]) == ("Short", 9)
    assert launched(program, kept["recipe"])["conversations"] == 9


# -- launching ----------------------------------------------------------------------------------------------------------


def test_a_launched_run_has_exactly_its_slots(program: Program, recipe: dict[str, Any]) -> None:
    run = launched(program, recipe, name="First try")
    assert (run["name"], run["state"], run["conversations"], run["offline"]) == ("First try", "running", 4, True)
    assert run["recipe"]["models"]["respondent"]["endpoint"] == recipe["models"]["respondent"]["endpoint"]
    assert run["progress"]["waiting"] == 4
    assert Slot.objects.filter(run=run["id"]).count() == 4
    assert [row["id"] for row in program.get(f"{HOME}/runs")["items"]] == [run["id"]]


def test_a_launch_calls_workers_when_it_is_committed(
    program: Program, recipe: dict[str, Any], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks() as hints:
        launched(program, recipe)
    assert len(hints) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"conversations": 0}, "recipe.conversations"),
        ({"converations": 5}, "recipe.converations"),
        ({"models": {}}, "recipe"),
        ({"corpus": None}, "recipe.corpus"),
        ({"corpus": 2**62}, "recipe.corpus"),
        ({"corpus": 10**40}, "recipe.corpus"),
        ({"personas": [10**40]}, "recipe.personas"),
        ({"persona_groups": [{"document": 10**40}]}, "recipe.personas"),
        ({"persona_groups": [{"words": "nobody is called so"}]}, "recipe.personas"),
        ({"persona_groups": [{"words": "\x00"}]}, "recipe.persona_groups.0.words"),
        ({"persona_groups": [{"tag": "x"}]}, "recipe.persona_groups.0.tag"),
        ({"respondent_prompt": 10**40}, "recipe.respondent_prompt"),
    ],
)
def test_a_bad_recipe_is_refused_with_the_field_that_is_wrong(
    program: Program, recipe: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    answer = program.call("POST", f"{HOME}/runs", {"recipe": recipe | change})
    assert refusal(answer, 422)
    assert answer.json()["field"] == field
    assert not Run.objects.exists()


def test_a_recipe_of_pairs_that_are_to_be_improved_is_refused(program: Program, recipe: dict[str, Any]) -> None:
    models = recipe["models"] | {"judge": recipe["models"]["respondent"]}
    said = recipe | {"product": {"kind": "pairs"}, "judge": True, "improve": {"attempts": 2}, "models": models}
    for path, more in (("runs", {}), ("runs/estimate", {}), ("recipes", {"name": "Pairs"})):
        answer = program.call("POST", f"{HOME}/{path}", {"recipe": said, **more})
        assert "leave improving out" in refusal(answer, 422)
        assert program.call("POST", f"{HOME}/{path}", {"recipe": said | {"improve": None}, **more}).status_code < 300


def test_a_recipe_cannot_reach_into_another_project(program: Program, recipe: dict[str, Any], stranger: User) -> None:
    theirs = make_project(stranger)
    foreign = {"corpus": passages_of(theirs, 1), "models": recipe_for(theirs, corpus=None)["models"]}
    for name, value in foreign.items():
        for path in ("runs", "runs/estimate"):
            answer = program.call("POST", f"{HOME}/{path}", {"recipe": recipe | {name: value}})
            assert "not in this project" in refusal(answer, 422)
        answer = program.call("POST", f"{HOME}/recipes", {"name": "A", "recipe": recipe | {name: value}})
        assert "not in this project" in refusal(answer, 422)


def test_an_estimate_reckons_and_launches_nothing(project: Project, program: Program, recipe: dict[str, Any]) -> None:
    endpoint = project.endpoints.get()
    endpoint.prices.create(model="", prompt=Decimal(1), completion=Decimal(2))
    reckoned = program.post(f"{HOME}/runs/estimate", {"recipe": recipe})
    assert reckoned["calls"] == sum(role["calls"] for role in reckoned["roles"].values()) == 4 * (1 + 3)
    tokens = (reckoned["prompt_tokens"], reckoned["completion_tokens"])
    assert Decimal(reckoned["cost"]) == pytest.approx((tokens[0] + 2 * tokens[1]) / Decimal(10**6), abs=Decimal("1e-5"))
    assert not Run.objects.exists()


# -- steering -----------------------------------------------------------------------------------------------------------


def test_a_run_is_paused_resumed_and_cancelled(program: Program, recipe: dict[str, Any]) -> None:
    path = f"{HOME}/runs/{launched(program, recipe)['id']}"
    states = [program.post(f"{path}/{action}")["state"] for action in ("pause", "pause", "resume", "cancel")]
    assert states == ["paused", "paused", "running", "cancelled"]
    assert program.get(path)["progress"]["cancelled"] == 4
    refusal(program.call("POST", f"{path}/explode"), 422)


def test_failed_conversations_are_asked_for_again(program: Program, recipe: dict[str, Any]) -> None:
    run = Run.objects.get(pk=launched(program, recipe)["id"])
    run.slots.update(state=Slot.State.FAILED, error="The server said no.")
    Run.objects.filter(pk=run.pk).update(slots_failed=4)
    runs.finish_run(run=run)
    shown = program.get(f"{HOME}/runs/{run.pk}")
    assert (shown["state"], shown["failed"]) == ("failed", 4)
    assert shown["progress"]["errors"][0]["error"] == "The server said no."
    shown = program.post(f"{HOME}/runs/{run.pk}/retry")
    assert (shown["state"], shown["failed"], shown["progress"]["waiting"]) == ("running", 0, 4)


# -- the main job, without a browser --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_documents_become_a_training_file_by_the_api_alone(project: Project, program: Program) -> None:
    corpus = program.post(f"{HOME}/corpora", {"name": "Pump", "chunk_size": 400, "chunk_overlap": 40})
    corpus_path = f"{HOME}/corpora/{corpus['id']}"
    upload = program.upload(f"{corpus_path}/files", files=[SimpleUploadedFile("pump.md", MANUAL.encode())])
    tasks.ingest_file(upload.json()[0]["file"]["id"])
    assert program.get(corpus_path)["open_files"] == 0
    assert program.get(f"{corpus_path}/search", q="filter pressure")

    run = launched(program, recipe_for(project, corpus=corpus["id"]) | {"conversations": 6})
    RUNS.pull(run["id"])
    run = program.get(f"{HOME}/runs/{run['id']}")
    assert (run["state"], run["done"], run["failed"]) == ("done", 6, 0), run["reason"]

    found = program.get(f"{HOME}/conversations", batch=run["batch"])["items"]
    assert len(found) == 6
    for row in found[:2]:
        shown = program.get(f"{HOME}/conversations/{row['id']}")
        assert shown["messages"][-1]["role"] == "assistant"
        assert any(step["sources"] for step in shown["trace"]["steps"])
        assert shown["offline"]
        program.post(f"{HOME}/conversations/{row['id']}/review", {"decision": "approved", "version": row["version"]})

    export = program.post(f"{HOME}/exports", {"filter": {"batch": run["batch"], "status": "approved"}})
    tasks.write_export(export["id"])
    path = f"{HOME}/exports/{export['id']}"
    assert program.get(path)["rows_written"] == 2
    assert len(b"".join(program.call("GET", f"{path}/file").streaming_content).splitlines()) == 2


MANUAL = """# The Halden circulation pump

## Starting the pump

Open both valves before the pump is started, because a closed valve makes the motor overheat within two minutes. Hold
the green button for three seconds until the display shows the flow rate in litres per minute.

## Cleaning the filter

The filter is cleaned every thirty days, or earlier when the pressure falls below 1.2 bar. Switch the pump off, close
the inlet valve, unscrew the filter cap by hand and rinse the mesh under running water. Never use a wire brush, because
scratches let sand pass into the bearing.

## Warning lights

A yellow light means that the filter pressure is low and that the filter should be cleaned. A red light means that the
motor was stopped because its temperature rose above 95 degrees; wait for one hour before it is started again.
"""
