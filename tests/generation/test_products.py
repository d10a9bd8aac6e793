"""Runs that make something else than plain conversations: dialogs with tools, and rows of a JSON schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from datasets.filters import ConversationFilter
from datasets.formats import Options
from datasets.models import Conversation, Project, Tool, User
from datasets.services.errors import Refused
from datasets.services.publishing.exports import start_export, write_export
from generation.engine import forms
from generation.frozen import Frozen
from generation.models import Call, Endpoint, Run, Trial
from generation.services import trials
from generation.services.recipe_yaml import read_yaml, write_yaml
from generation.services.running.freezing import freeze
from generation.services.servers.endpoints import save_endpoint
from tests.api_program import Program, refusal
from tests.factories import make_project
from tests.fixtures_model_server import RunningModelServer
from tests.generation.improving import item_of, ordered, worked
from tests.generation.pulled import pulled
from tests.generation.runs import launched, recipe

pytestmark = pytest.mark.django_db(transaction=True)

FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "kind": {"enum": ["how-to", "fact"]},
        "minutes": {"type": "integer", "minimum": 1, "maximum": 90},
        "steps": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["title", "kind"],
}
ROWS = {"kind": "rows", "form": FORM}
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture
def server(project: Project, owner: User, model_server: RunningModelServer) -> Endpoint:
    fields = {"name": "Server", "preset": "custom", "base_url": model_server.base_url, "chat_model": "big"}
    return save_endpoint(project=project, user=owner, values=fields)


def tool(project: Project, name: str = "get_weather", **fields: Any) -> Tool:
    described = {"description": "Says how warm it is.", "parameters": WEATHER}
    return Tool.objects.create(project=project, name=name, **{**described, **fields})


def with_tools(*tools: Tool, sample: int = 2) -> dict[str, Any]:
    return {"kind": "tool_dialogs", "tools": [one.pk for one in tools], "sample": sample}


def heads(run: Run) -> list[Any]:
    return [row.head for row in Conversation.objects.filter(batch=run.batch_id).with_head().order_by("pk")]


# -- rows -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refuses", [[], ["json_schema"], ["json_schema", "json_object"]])
def test_a_run_of_rows_makes_rows_that_fit_the_schema_whatever_the_server_knows_of_schemas(
    project: Project, server: Endpoint, model_server: RunningModelServer, refuses: list[str]
) -> None:
    model_server.control(refuses=refuses)
    run = pulled(launched(project, endpoint=server, conversations=6, max_turns=3, product=ROWS))
    assert (run.state, run.reason, run.slots_done) == (Run.State.DONE, "", 6)
    for version in heads(run):
        assert forms.problem(version.output, FORM) == ""
        assert json.loads(version.messages[-1]["content"]) == version.output
        assert [message["role"] for message in version.messages] == ["user", "assistant"]
    assert set(run.project.conversations.values_list("turns", flat=True)) == {1}
    assert set(Call.objects.filter(run=run).values_list("operation", flat=True)) == {"instruction", "row"}


def test_rows_need_no_model_for_a_user(project: Project, server: Endpoint) -> None:
    models = {role: {"endpoint": server.pk} for role in ("instruction", "respondent")}
    run = pulled(launched(project, endpoint=server, conversations=2, product=ROWS, models=models))
    assert run.slots_done == 2


def test_a_row_that_cannot_be_made_fails_alone(
    project: Project, server: Endpoint, model_server: RunningModelServer
) -> None:
    model_server.fail("bad_json", count=4)  # the first instruction goes through on its last try or fails
    run = pulled(launched(project, endpoint=server, conversations=5, product=ROWS, concurrency=1))
    assert run.state == Run.State.DONE
    assert run.slots_done + run.slots_failed == 5
    assert run.slots_done >= 4
    assert len(heads(run)) == run.slots_done


def test_the_offline_model_makes_rows_and_they_are_labelled(project: Project) -> None:
    run = pulled(launched(project, conversations=2, product=ROWS, questions={"distinct": False}))
    assert run.slots_done == 2
    for version in heads(run):
        assert forms.problem(version.output, FORM) == ""
        assert version.conversation.offline


# -- tools ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refuses", [[], ["json_schema", "json_object"]])
def test_a_run_with_tools_makes_dialogs_whose_calls_fit_and_are_answered(
    project: Project, server: Endpoint, model_server: RunningModelServer, refuses: list[str]
) -> None:
    model_server.control(refuses=refuses)
    tools = [tool(project), tool(project, "get_time"), tool(project, "get_news")]
    spec = with_tools(*tools, sample=2)
    run = pulled(launched(project, endpoint=server, conversations=6, max_turns=2, product=spec))
    assert (run.state, run.reason, run.slots_done) == (Run.State.DONE, "", 6)
    offered = set()
    for version in heads(run):
        dialog = version.dialog
        names = [one.name for one in dialog.tools]
        offered |= set(names)
        assert len(names) == 2
        calls = [call for message in dialog.messages for call in message.tool_calls]
        assert calls
        assert {call.name for call in calls} <= set(names)
        assert all(forms.problem(call.arguments, WEATHER) == "" for call in calls)
        results = [message for message in dialog.messages if message.role == "tool"]
        assert [result.tool_call_id for result in results] == [call.id for call in calls]
        assert all(isinstance(json.loads(result.content), dict) for result in results)
        assert all(dialog.trace.written_by(index) for index in range(len(dialog.messages)))
        assert dialog.messages[-1].role == "assistant"
    assert offered == {"get_weather", "get_time", "get_news"}
    assert Call.objects.filter(run=run, operation="tool_result", endpoint=server).count() >= 6


def test_the_offline_model_talks_with_tools(project: Project) -> None:
    run = pulled(launched(project, conversations=3, product=with_tools(tool(project)), max_turns=2))
    assert (run.slots_done, run.slots_failed) == (3, 0)
    assert all(version.tools[0]["name"] == "get_weather" for version in heads(run))


def test_a_run_keeps_its_tools_as_they_were_when_it_was_launched(project: Project) -> None:
    row = tool(project)
    run = launched(project, conversations=1, product=with_tools(row))
    Tool.objects.filter(pk=row.pk).update(description="Changed.", archived=True)
    (kept,) = Frozen.model_validate(run.frozen).tools
    assert kept.description == "Says how warm it is."


# -- what comes of them ---------------------------------------------------------------------------------------------------


def exported(project: Project, format: str, tmp_path: Path, settings: Settings) -> list[dict[str, Any]]:
    settings.MEDIA_ROOT = tmp_path
    options = Options(metadata=True)
    export = start_export(project=project, actor=None, filter=ConversationFilter(), format=format, options=options)
    write_export(export_id=export.pk)
    export.refresh_from_db()
    return [json.loads(line) for line in Path(tmp_path, export.file.name).read_text().splitlines()]


def test_rows_are_exported_and_read_through_the_api(
    project: Project, teammate: User, tmp_path: Path, settings: Settings
) -> None:
    pulled(launched(project, conversations=2, product=ROWS, questions={"distinct": False}))
    rows = exported(project, "rows", tmp_path, settings)
    assert all(forms.problem(row["output"], FORM) == "" for row in rows)
    assert [list(row["output"]) for row in rows] == [list(FORM["properties"])] * 2
    program = Program.of(teammate)
    for row in rows:
        read = program.get(f"/projects/{project.slug}/conversations/{row['metadata']['id']}")
        assert read["output"] == row["output"]
        assert read["opening"] == row["instruction"]


def test_dialogs_with_tools_are_exported_in_every_format_of_trainers(
    project: Project, teammate: User, tmp_path: Path, settings: Settings
) -> None:
    pulled(launched(project, conversations=2, max_turns=2, product=with_tools(tool(project))))
    for name in ("messages", "openai", "sharegpt"):
        rows = exported(project, name, tmp_path, settings)
        assert len(rows) == 2
        assert all("get_weather" in json.dumps(row["tools"]) for row in rows)
    conversation = project.conversations.first()
    read = Program.of(teammate).get(f"/projects/{project.slug}/conversations/{conversation.pk}")
    assert [one["name"] for one in read["tools"]] == ["get_weather"]


def test_improving_a_row_makes_a_row_of_the_same_schema_and_keeps_the_tools_of_a_dialog(
    project: Project, server: Endpoint
) -> None:
    rows = pulled(launched(project, endpoint=server, conversations=1, product=ROWS))
    talks = pulled(launched(project, endpoint=server, conversations=1, product=with_tools(tool(project))))
    (row,), (talk,) = heads(rows), heads(talks)
    chosen = (row.conversation, talk.conversation)
    improvement = worked(ordered(project, *chosen, endpoint=server, instruction="Shorter.", judge=False))
    assert (improvement.made, improvement.failed) == (2, 0)
    better = item_of(improvement, row.conversation).proposal
    assert forms.problem(better.output, FORM) == ""
    assert json.loads(better.messages[-1]["content"]) == better.output
    assert better.output != row.output
    better = item_of(improvement, talk.conversation).proposal
    assert better.tools == talk.tools
    assert any("tool_calls" in message for message in better.messages)


def test_a_preview_shows_the_row_or_the_calls(
    project: Project, teammate: User, client_of: Callable[[User], Client]
) -> None:
    for product, shown in ((ROWS, "<dt>title</dt>"), (with_tools(tool(project)), "<b>get_weather</b>")):
        request = {"recipe": recipe(project, product=product).model_dump(mode="json")}
        trial = trials.ask_for(project=project, kind=Trial.Kind.PREVIEW, request=request, user=teammate)
        trials.carry_out(trial_id=trial.pk)
        page = client_of(teammate).get(reverse("generation:trial-detail", args=[project.slug, trial.pk]))
        assert shown in page.content.decode()


# -- refusals, through the API --------------------------------------------------------------------------------------------


def refused(project: Project, user: User, product: dict[str, Any]) -> str:
    body = {"recipe": recipe(project).model_dump(mode="json") | {"product": product}}
    answer = Program.of(user).call("POST", f"/projects/{project.slug}/runs", body)
    assert not Run.objects.exists()
    return refusal(answer, 422)


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ("{no JSON}", "This is not JSON: check its quotation marks"),
        ({"type": "string"}, "The schema of a row is one of an object with properties."),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, "This is not a JSON schema: properties.a.type"),
        ({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1/x"}}}, "outside of itself"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_in_a_sentence(
    project: Project, teammate: User, form: Any, why: str
) -> None:
    assert why in refused(project, teammate, {"kind": "rows", "form": form})


def test_tools_of_other_projects_and_unusable_ones_are_refused_in_a_sentence(project: Project, teammate: User) -> None:
    foreign, broken = tool(make_project()), tool(project, "odd", parameters={"$ref": "http://127.0.0.1/x"})
    assert "not in this project" in refused(project, teammate, with_tools(tool(project), foreign))
    assert "The tool “odd” cannot be used." in refused(project, teammate, with_tools(broken))


def test_a_recipe_of_rows_comes_out_of_the_api_as_it_went_in_and_can_be_sent_again(
    project: Project, teammate: User
) -> None:
    program, runs = Program.of(teammate), f"/projects/{project.slug}/runs"
    body = recipe(project).model_dump(mode="json") | {"product": {"kind": "rows", "form": FORM}}
    for _ in range(2):
        run = program.post(runs, {"recipe": body})
        body = program.get(f"{runs}/{run['id']}")["recipe"]
        assert list(body["product"]["form"]["properties"]) == list(FORM["properties"])


# -- as YAML --------------------------------------------------------------------------------------------------------------


def test_recipes_as_yaml_name_their_tools_and_hold_their_schema(project: Project) -> None:
    for product in (with_tools(tool(project, "b"), tool(project, "a"), sample=1), ROWS):
        spec = recipe(project, product=product)
        text = write_yaml(spec, freeze(project=project, spec=spec))
        assert read_yaml(project=project, text=text) == spec
    assert list(yaml.safe_load(text)["product"]["form"]["properties"]) == list(FORM["properties"])
    spec = recipe(project, product=with_tools(*project.tools.order_by("-name")))
    text = write_yaml(spec, freeze(project=project, spec=spec))
    assert yaml.safe_load(text)["product"]["tools"] == ["b", "a"]
    project.tools.filter(name="b").delete()
    with pytest.raises(Refused, match="There is no tool named “b” in this project"):
        read_yaml(project=project, text=text)
