"""The tools of a project: written by hand, pasted, edited, archived."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from datasets.models import Project, Tool, User
from datasets.schema import ToolSpec
from tests.api_program import Program
from tests.factories import make_project

from .test_tools_reading import BARE, PETS, SCHEMA

pytestmark = pytest.mark.django_db
Clients = Callable[[User], Client]


@pytest.fixture
def curator(teammate: User, client_of: Clients) -> Client:
    return client_of(teammate)


def url(project: Project, name: str, *args: Any) -> str:
    return reverse(f"datasets:{name}", args=[project.slug, *args])


def make_tool(project: Project, **fields: Any) -> Tool:
    return Tool.objects.create(**{"project": project, "name": "weather", "parameters": SCHEMA, **fields})


def typed(**fields: str) -> dict[str, str]:
    return {"name": "weather", "description": "How warm it is.", "parameters": json.dumps(SCHEMA), **fields}


def test_a_tool_is_written_by_hand_listed_and_changed(project: Project, teammate: User, curator: Client) -> None:
    answer = curator.post(url(project, "tool-new"), typed())
    assert answer["Location"] == url(project, "tool-list")
    tool = project.tools.get()
    assert tool.spec == ToolSpec(name="weather", description="How warm it is.", parameters=SCHEMA)
    page = curator.get(url(project, "tool-list")).content.decode()
    assert "weather" in page
    assert "city" in page
    assert "&quot;city&quot;" in curator.get(url(project, "tool-detail", tool.pk)).content.decode()
    curator.post(url(project, "tool-detail", tool.pk), typed(name="forecast"))
    tool.refresh_from_db()
    assert tool.name == "forecast"
    assert project.activities.filter(text="changed the tool “forecast”", actor=teammate).exists()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": "two words"}, "is no name of a function"),
        ({"name": "taken"}, "Another tool has that name"),
        ({"parameters": "{oops"}, "This is not JSON (Expecting property name enclosed in double quotes in line 1"),
        ({"parameters": "[]"}, "are no JSON object"),
        ({"parameters": '{"type": "object", "properties": {"x": {"type": "strin"}}}'}, "at properties.x.type"),
        ({"parameters": '{"properties": {"x": {"$ref": "file:///etc/passwd"}}}'}, "nothing is fetched"),
        ({"parameters": '{"properties": {"x": {"default": NaN}}}'}, "JSON does not have"),
    ],
)
def test_a_tool_that_no_model_could_use_is_refused_beside_its_field(
    fields: dict[str, str], sentence: str, project: Project, curator: Client
) -> None:
    make_tool(project, name="taken")
    answer = curator.post(url(project, "tool-new"), typed(**fields))
    assert answer.status_code == 422
    [field] = fields
    assert any(sentence in str(error) for error in answer.context["form"].errors[field])
    assert project.tools.count() == 1


def test_a_name_may_be_taken_in_another_project(project: Project, curator: Client) -> None:
    make_tool(make_project())
    assert curator.post(url(project, "tool-new"), typed()).status_code == 302


def test_an_openapi_document_becomes_tools(project: Project, curator: Client) -> None:
    answer = curator.post(url(project, "tool-paste"), {"pasted": PETS}).content.decode()
    assert "4 new" in answer
    assert "3 left out" in answer
    assert "GET /outside" in answer
    assert set(project.tools.values_list("name", flat=True)) == {"pets_show", "put_pets_id", "setTags", "both"}
    again = curator.post(url(project, "tool-paste"), {"file": SimpleUploadedFile("pets.yaml", PETS.encode())})
    assert "0 new, 4 as they were" in again.content.decode()


def test_a_known_name_is_left_alone_unless_it_is_to_be_replaced(project: Project, curator: Client) -> None:
    tool = make_tool(project, description="As it was", archived=True)
    answer = curator.post(url(project, "tool-paste"), {"pasted": json.dumps([BARE, {"name": "now"}])}).content.decode()
    assert "1 new" in answer
    assert "among the archived tools" in answer
    tool.refresh_from_db()
    assert (tool.description, tool.archived) == ("As it was", True)
    curator.post(url(project, "tool-paste"), {"pasted": json.dumps(BARE), "replace": "on"})
    tool.refresh_from_db()
    assert (tool.description, tool.archived) == ("How warm it is.", False)


@pytest.mark.parametrize(
    ("data", "field", "sentence"),
    [
        ({}, None, "there is nothing here"),
        ({"pasted": "{oops"}, "pasted", "It is not JSON"),
        ({"file": b"\xff\xfe\xff"}, "file", "not UTF-8"),
        ({"file": b"hello"}, "file", "no function"),
    ],
)
def test_what_holds_no_function_is_refused(
    data: dict[str, Any], field: str | None, sentence: str, project: Project, curator: Client
) -> None:
    if isinstance(data.get("file"), bytes):
        data = {"file": SimpleUploadedFile("x.json", data["file"])}
    answer = curator.post(url(project, "tool-paste"), data)
    assert answer.status_code == 422
    assert any(sentence in str(error) for error in answer.context["form"].errors[field or "__all__"])


def test_texts_of_a_tool_are_escaped(project: Project, curator: Client) -> None:
    hostile = "<script>x</script>"
    tool = make_tool(project, description=hostile, parameters={"type": "object", "properties": {hostile: {}}})
    for page in (url(project, "tool-list"), url(project, "tool-detail", tool.pk)):
        assert hostile not in curator.get(page).content.decode()
    assert (
        hostile
        not in curator.post(url(project, "tool-paste"), {"pasted": json.dumps({"name": hostile})}).content.decode()
    )


def test_an_archived_tool_leaves_the_list_and_comes_back(project: Project, curator: Client) -> None:
    tool = make_tool(project)
    curator.post(url(project, "tool-archive", tool.pk))
    assert "weather" not in curator.get(url(project, "tool-list")).content.decode()
    assert "weather" in curator.get(url(project, "tool-list") + "?archived").content.decode()
    curator.post(url(project, "tool-archive", tool.pk))
    assert "weather" in curator.get(url(project, "tool-list")).content.decode()


def test_long_lists_are_paged_by_name(project: Project, curator: Client) -> None:
    Tool.objects.bulk_create(Tool(project=project, name=f"tool_{n:03}", parameters=SCHEMA) for n in range(130))
    first = curator.get(url(project, "tool-list")).content.decode()
    assert "tool_099" in first
    assert "tool_100" not in first
    rest = curator.get(url(project, "tool-list"), {"after": "tool_099"}).content.decode()
    assert "tool_100" in rest
    assert "tool_129" in rest


def test_members_read_curators_write_and_strangers_see_nothing(
    project: Project, annotator: User, stranger: User, client_of: Clients
) -> None:
    tool = make_tool(project)
    for page in (url(project, "tool-list"), url(project, "tool-detail", tool.pk)):
        assert client_of(annotator).get(page).status_code == 200
        assert client_of(stranger).get(page).status_code == 404
        assert Client().get(page).status_code == 302
    for user, status in ((annotator, 403), (stranger, 404)):
        client = client_of(user)
        for name, args in (
            ("tool-new", ()),
            ("tool-paste", ()),
            ("tool-detail", (tool.pk,)),
            ("tool-archive", (tool.pk,)),
        ):
            assert client.post(url(project, name, *args), typed(name="other")).status_code == status
        for name in ("tool-new", "tool-paste"):
            assert client.get(url(project, name)).status_code == status
    foreign = make_tool(make_project())
    mine = client_of(User.objects.get(username="olivia"))
    assert mine.get(url(project, "tool-detail", foreign.pk)).status_code == 404
    assert mine.post(url(project, "tool-archive", foreign.pk)).status_code == 404
    assert set(Tool.objects.values_list("name", "archived")) == {("weather", False)}


def test_a_program_adds_and_lists_tools(project: Project, teammate: User, annotator: User, stranger: User) -> None:
    path = f"/projects/{project.slug}/tools"
    made = Program.of(teammate).post(path, BARE)
    assert (made["name"], made["parameters"]) == ("weather", SCHEMA)
    assert [tool["id"] for tool in Program.of(annotator).get(path)["items"]] == [made["id"]]
    assert Program.of(annotator).get(f"{path}/{made['id']}")["description"] == "How warm it is."
    refused = Program.of(teammate).call("POST", path, {"name": "x y"})
    assert refused.status_code == 422
    assert "is no name of a function" in refused.content.decode()
    assert Program.of(annotator).call("POST", path, BARE).status_code == 403
    assert Program.of(stranger).call("GET", path).status_code == 404
