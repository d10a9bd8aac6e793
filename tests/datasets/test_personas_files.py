"""Personas as JSONL and YAML: what goes out comes in again, and a bad row keeps no good one out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse

from datasets import tasks
from datasets.formats.personas import read, write_jsonl, write_yaml
from datasets.models import Persona, PersonaImport, Project, User
from datasets.services.errors import Refused
from datasets.services.personas import importing as personas_import
from datasets.services.personas.adding import Draft, add_personas
from datasets.services.personas.files import rows_of
from datasets.services.personas.saving import save_persona
from tests.api_program import Program
from tests.factories import make_project
from tests.generation.growing import documents

ClientOf = Callable[[User], Client]
pytestmark = pytest.mark.django_db


def brought(project: Project, author: User, text: str, **more: Any) -> PersonaImport:
    row = personas_import.start_import(project=project, author=author, text=text, **more)
    tasks.carry_on_persona_import(row.pk)
    row.refresh_from_db()
    return row


def sentences(imported: PersonaImport) -> dict[str, str]:
    return dict(imported.problems)


def lines(*rows: object) -> str:
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)


def everything(project: Project) -> list[dict[str, Any]]:
    return [row.model_dump() for row in rows_of(project.personas.all())]


@pytest.fixture
def peopled(project: Project, owner: User) -> Project:
    """With people of every kind: by hand, of a document, of another persona, waiting, rejected, oddly spelt."""
    corpus = documents(project, "Gauge", "Mast")
    gauge, mast = corpus.documents.order_by("pk")
    odd = "Line one:\n- “two” \u2028 # three\t\\ {x} 'q' \"q\""
    save_persona(project=project, name="yes", description="1.0", features={"age": "25_34", "on": "no"}, author=owner)
    drafts = [
        Draft("Root", odd, {"tone: x": "a: b"}, "Be curt.\nAlways.", document=gauge.pk, model="big"),
        Draft("Waiting", "W", document=mast.pk, proposed=True),
        Draft("Rejected", "R", document=mast.pk, proposed=True, archived=True),
        Draft("Archived", "2020-01-01", archived=True),
    ]
    root = add_personas(project=project, drafts=drafts, author=owner)[0]
    add_personas(
        project=project, drafts=[Draft("Child", "C", parent=root.pk, depth=1, document=gauge.pk)], author=owner
    )
    return project


# -- round trips --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_jsonl, write_yaml])
def test_what_is_exported_is_imported_into_another_project_without_loss(
    peopled: Project, owner: User, write: Callable[..., Any]
) -> None:
    text = "".join(write(rows_of(peopled.personas.all())))
    other = make_project(owner)
    corpus = documents(other, "Gauge", "Mast")
    corpus.name = peopled.corpora.get().name
    corpus.save()
    result = brought(other, owner, text)
    assert (result.added, result.problem_count) == (6, 0)
    assert everything(other) == everything(peopled)
    child = other.personas.get(name="Child")
    assert (child.parent.name, child.parent.project) == ("Root", other)
    assert child.document.corpus == corpus


@pytest.mark.parametrize("write", [write_jsonl, write_yaml])
def test_what_is_exported_changes_nothing_where_it_came_from(
    peopled: Project, owner: User, write: Callable[..., Any]
) -> None:
    before = everything(peopled)
    result = brought(peopled, owner, "".join(write(rows_of(peopled.personas.all()))))
    assert (result.added, result.changed, result.unchanged, result.problem_count) == (0, 0, 6, 0)
    assert everything(peopled) == before
    assert not peopled.personas.filter(current__number__gt=1).exists()


def test_a_persona_of_a_known_name_becomes_a_new_version(project: Project, owner: User) -> None:
    save_persona(project=project, name="Nurse", description="Old.", features={}, author=owner)
    assert brought(project, owner, "- {name: Nurse, description: New.}").changed == 1
    nurse = project.personas.get()
    assert [version.description for version in nurse.versions.all()] == ["New.", "Old."]


def test_an_export_of_nobody_is_an_empty_list_that_can_be_read(project: Project) -> None:
    assert list(read("".join(write_yaml(rows_of(project.personas.all()))))) == []
    assert list(read("".join(write_jsonl(rows_of(project.personas.all()))))) == []


# -- rows of no use -----------------------------------------------------------------------------------------------------


def test_bad_rows_get_a_sentence_each_and_the_rest_goes_on(project: Project, owner: User) -> None:
    text = lines(
        {"name": "Good", "description": "Fine."},
        {"name": "Mute"},
        "{broken",
        ["a list"],
        {"description": "x", "colour": "red"},
        {"description": "x", "depth": -1},
        {"description": "x", "parent": "Good"},
        {"description": "x" * 5_001},
        {"name": "Good", "description": "Again."},
        {"name": "n" * 101, "description": "x"},
        {"description": "x", "features": {"a": ["b"]}},
        {"name": "Last", "description": "Fine too."},
    )
    result = brought(project, owner, text)
    assert set(project.personas.values_list("name", flat=True)) == {"Good", "Last"}
    said = sentences(result)
    assert result.problem_count == len(said) == 10
    assert said["line 2"] == "It has no description: say who this person is."
    assert said["line 3"] == "This line is not JSON: write one whole object on each line."
    assert "neither" in said["line 4"]
    assert said["line 5"] == "“colour” is not part of a persona: put it under “features”, or leave it out."
    assert "“depth”" in said["line 6"]
    assert "give “depth”, 1 or more" in said["line 7"]
    assert said["line 8"] == "“description” is too long: at most 5,000."
    assert said["line 9"] == "“Good” stands at line 1 already: give each persona a name of its own."
    assert "“name” is too long" in said["line 10"]
    assert "features.a" in said["line 11"]


BOMB = "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name: Nurse", "Personas come as a list"),
        ("- name: 'open", "cannot be read as YAML"),
        ("just words", "Personas come as a list"),
        ("[{]", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("- &a [*a]", "uses aliases"),
        (f"a0: &a0 [x, x]\n{BOMB}personas: *a39", "uses aliases"),
        ("- " * 100_000, "nested too deeply"),
        ("- {" + "a: {" * 40_000, "nested too deeply"),
    ],
)
def test_a_text_that_is_no_list_of_personas_is_refused(project: Project, owner: User, text: str, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        brought(project, owner, text)
    assert not project.personas.exists()


def test_a_missing_document_or_parent_is_noted_and_the_persona_comes_without_it(project: Project, owner: User) -> None:
    documents(project, "Mast")
    documents(project, "Mast")
    rows = [
        {"name": "A", "description": "a", "document": "Nowhere"},
        {"name": "B", "description": "b", "document": "Mast"},
        {"name": "C", "description": "c", "parent": "Nobody", "depth": 1},
        {"name": "D", "description": "d", "parent": "E", "depth": 1},
        {"name": "E", "description": "e", "parent": "D", "depth": 1},
    ]
    result = brought(project, owner, lines(*rows))
    assert result.added == 5
    said = sentences(result)
    assert "none is here" in said["line 1"]
    assert "more than one document has that title" in said["line 2"]
    assert "neither in the file nor in the project" in said["line 3"]
    assert "does not stand in a layer above it" in said["line 4"]
    assert not project.personas.exclude(document=None, parent=None).exists()


def test_documents_of_other_projects_are_not_reached(project: Project, owner: User, stranger: User) -> None:
    documents(stranger.projects.get(), "Secret")
    result = brought(project, owner, lines({"name": "A", "description": "a", "document": "Secret"}))
    assert "none is here" in sentences(result)["line 1"]
    assert project.personas.get().document is None


# -- the library's own rows ---------------------------------------------------------------------------------------------


def test_document_rows_of_the_library_bring_their_layers(project: Project, owner: User) -> None:
    corpus = documents(project, "Gauge", text="The gauge counts rain.")
    row = {
        "id": "7",
        "text": "The gauge counts rain.",
        "metadata": {"any": "thing"},
        "personas": [
            {"descriptions": ["A retired nurse who grows tomatoes and dahlias on an allotment far from town."]},
            {"descriptions": ["A colleague.", "A mentor."], "metadata": {"generation_depth": 1}},
            {"descriptions": ["Odd."], "metadata": {"generation_depth": "deep"}},
            {"descriptions": ["Odder."], "metadata": {"generation_depth": -2}},
        ],
    }
    result = brought(project, owner, lines(row, {"id": "8", "text": "Unknown.", "personas": [{"descriptions": ["Z"]}]}))
    assert (result.added, result.problem_count) == (6, 0)
    found = {persona.current.description: persona for persona in project.personas.select_related("current")}
    assert {text: persona.depth for text, persona in found.items() if len(text) < 20} == {
        "A colleague.": 1, "A mentor.": 1, "Odd.": 0, "Odder.": 0, "Z": 0,
    }  # fmt: skip
    assert found["A mentor."].document == corpus.documents.get()
    assert found["Z"].document is None
    assert project.personas.filter(name="A retired nurse who grows tomatoes and dahlias on an…").exists()
    assert brought(project, owner, lines(row)).unchanged == 5


# -- pages and API ------------------------------------------------------------------------------------------------------


def test_a_file_is_imported_on_the_page_and_waits_for_review_if_that_is_wished(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    address = reverse("datasets:persona-import", args=[project.slug])
    file = ContentFile(b"- name: Nurse\n  description: <b>New</b>.\n- name: x\n", name="people.yml")
    answer = client_of(teammate).post(address, {"file": file, "review": "on"}, follow=True)
    page = answer.content.decode()
    row = answer.context["import"]
    assert (row.state, row.added, row.changed, row.text) == ("done", 1, 0, "")
    assert "hx-trigger" not in page.split('id="state"')[1]
    assert "persona 2" in page
    assert "It has no description" in page
    assert project.personas.get().proposed
    assert project.personas.get().current.author == teammate


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "Choose a file or paste some personas"),
        ({"pasted": "words"}, "Personas come as a list"),
        ({"file": ContentFile(b"\xff\xfe\xfa", name="a.yaml")}, "not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_said_beside_the_form(
    project: Project, owner: User, client_of: ClientOf, fields: dict[str, Any], sentence: str
) -> None:
    answer = client_of(owner).post(reverse("datasets:persona-import", args=[project.slug]), fields)
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert not project.personas.exists()


def test_members_export_those_in_use_or_all_and_only_curators_import(
    peopled: Project, annotator: User, stranger: User, client_of: ClientOf
) -> None:
    export = reverse("datasets:persona-export", args=[peopled.slug])
    answer = client_of(annotator).get(export)
    text = b"".join(answer.streaming_content).decode()
    assert {json.loads(line)["name"] for line in text.splitlines()} == {"yes", "Root", "Child"}
    assert answer["Content-Disposition"] == 'attachment; filename="handbook-personas.jsonl"'
    whole = b"".join(client_of(annotator).get(export + "?all&format=yaml").streaming_content).decode()
    assert sum(1 for _ in read(whole)) == 6
    assert client_of(annotator).get(reverse("datasets:persona-import", args=[peopled.slug])).status_code == 403
    assert client_of(stranger).get(export).status_code == 404


def test_a_program_takes_out_what_it_brings_in(project: Project, teammate: User) -> None:
    program = Program.of(teammate)
    said = program.post("/projects/handbook/personas/import", {"text": '{"name": "Nurse", "description": "x"}\n{'})
    assert (said["added"], said["problems"][0]["where"]) == (1, "line 2")
    answer = program.call("GET", "/projects/handbook/personas/export", format="yaml")
    assert b"".join(answer.streaming_content) == b"- name: Nurse\n  description: x\n"


def crowd(number: int) -> str:
    return lines(*({"description": f"Somebody of the kind {n} who asks."} for n in range(number)))


def test_many_personas_come_in_quickly_and_too_many_are_refused(project: Project, owner: User) -> None:
    rows = [{"name": "Same", "description": f"Person {n}."} for n in range(3)]
    assert brought(project, owner, lines(*rows)).problem_count == 2
    assert brought(project, owner, crowd(5_000)).added == 5_000
    assert Persona.objects.filter(current=None).count() == 0
    refused = brought(project, owner, crowd(20_001))
    assert (refused.state, refused.text) == ("failed", "")
    assert "20,000 personas at once" in refused.error


# -- by a worker --------------------------------------------------------------------------------------------------------


def test_many_are_left_to_a_worker_whose_progress_is_shown(
    project: Project, teammate: User, annotator: User, stranger: User, client_of: ClientOf,
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:  # fmt: skip
    asked: list[int] = []
    monkeypatch.setattr(tasks.carry_on_persona_import, "delay", asked.append)
    monkeypatch.setattr("datasets.pulse.listens", lambda queue: False)
    fields = {"pasted": crowd(personas_import.FEW + 1)}
    with django_capture_on_commit_callbacks(execute=True):
        answer = client_of(teammate).post(reverse("datasets:persona-import", args=[project.slug]), fields)
    row = project.persona_imports.get()
    page = reverse("datasets:persona-import-detail", args=[project.slug, row.pk])
    assert (answer["Location"], asked) == (page, [row.pk])
    shown = client_of(annotator).get(page, headers={"HX-Request": "true"}).content.decode()
    assert "0 of 101 personas" in shown
    assert "No worker listens" in shown
    assert 'hx-trigger="every 1s"' in shown
    assert client_of(stranger).get(page).status_code == 404
    program = Program.of(teammate)
    assert program.get(f"/projects/handbook/personas/import/{row.pk}")["state"] == "running"
    tasks.carry_on_persona_import(row.pk)
    done = program.get(f"/projects/handbook/personas/import/{row.pk}")
    assert (done["state"], done["added"], done["seen"]) == ("done", 101, 101)


def test_what_a_killed_worker_left_is_carried_on_and_nothing_comes_twice(
    project: Project, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personas_import, "SLICE", 2)
    save_persona(project=project, name="Known", description="Old.", features={}, author=owner)
    rows = [{"name": f"P{n}", "description": "Who asks.", "parent": f"P{n + 1}", "depth": 9 - n} for n in range(4)]
    text = lines("{broken", *rows, {"name": "P4", "description": "Root."}, {"name": "Known", "description": "New."})
    row = personas_import.start_import(project=project, author=owner, text=text)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(personas_import, "save_persona", killed)
        with pytest.raises(KeyboardInterrupt):
            personas_import.carry_on(import_id=row.pk)
    row.refresh_from_db()
    assert (row.state, row.position, row.added) == ("running", 4, 4)
    assert personas_import.left_lying() == []
    PersonaImport.objects.update(updated=row.updated - 2 * personas_import.QUIET)
    assert personas_import.left_lying() == [row.pk]
    tasks.carry_on_persona_import(row.pk)
    tasks.carry_on_persona_import(row.pk)
    row.refresh_from_db()
    assert (row.state, row.added, row.changed, row.problem_count, row.orphans) == ("done", 5, 1, 1, [])
    assert project.personas.count() == 6
    assert list(project.personas.order_by("name").values_list("name", "parent__name")) == [
        ("Known", None), ("P0", "P1"), ("P1", "P2"), ("P2", "P3"), ("P3", "P4"), ("P4", None),
    ]  # fmt: skip
