"""Who gets in where: every operation of the API, tried by everybody."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.http import HttpResponse
from django.utils import timezone

from afterimage_web.api import api
from datasets.filters import ConversationFilter
from datasets.index import PassageIndex, connect
from datasets.models import BulkAction, Conversation, Corpus, Export, Persona, Project, Prompt, Report, Role, User
from datasets.services.criteria import save_criterion
from datasets.services.curating.bulk import advance, start_bulk
from datasets.services.curating.conversations import add_label, add_note, label_named
from datasets.services.curating.imports import store_import
from datasets.services.personas.importing import start_import
from datasets.services.personas.saving import save_persona
from datasets.services.publishing.exports import Options, start_export, write_export
from datasets.services.publishing.reports import make_report, start_report
from datasets.services.tools import save_tool
from generation.engine.recipe import Recipe
from generation.models import Alert, AlertRule, Endpoint
from generation.services.monitoring.rules import rules_of
from generation.services.recipe_yaml import write_yaml
from generation.services.recipes import save_recipe
from generation.services.running.freezing import freeze
from generation.services.running.runs import start_run
from generation.services.servers.endpoints import save_endpoint
from generation.services.trials import ask_for
from tests.api_program import ROOT, Program, refusal
from tests.factories import add_member, make_conversation, make_user
from tests.fixtures_foreign_qdrant import ForeignQdrant
from tests.generation.api_recipes import passages_of, recipe_for
from tests.generation.growing import ordered
from tests.generation.improving import proposed

pytestmark = pytest.mark.django_db

OPERATIONS = [
    (operation["operationId"], method.upper(), path.removeprefix(ROOT))
    for path, methods in api.get_openapi_schema()["paths"].items()
    for method, operation in methods.items()
]
READING = [name for name, method, _ in OPERATIONS if method == "GET"]
WRITING = [name for name, method, _ in OPERATIONS if method != "GET"]
REVIEWING = {
    "review_conversation", "label_conversation", "unlabel_conversation", "note_conversation", "acknowledge_alert",
    "delete_note_of_mine", "decide_on_many", "undo_bulk_action",
}  # fmt: skip
OWNING = {
    "change_project", "delete_project", "add_member", "change_member", "remove_member", "create_endpoint",
    "change_endpoint", "delete_endpoint", "add_endpoint_key", "change_endpoint_key", "delete_endpoint_key", "test_endpoint",
}  # fmt: skip
ANYBODYS = {"list_projects", "create_project"}
CURATING = {"get_trial"}
"""What only curators read."""


def talk() -> ContentFile:
    """A file of one conversation."""
    return ContentFile(b'{"messages": [{"role": "user", "content": "Hi"}]}', name="talk.jsonl")


TONE = {"name": "Tone", "description": "Warm and brief."}
CONFIG = "respondent: {system_prompt: Be right.}"


class World:
    """A project with one of everything, and a valid call of each operation on it."""

    def __init__(self, project: Project, owner: User) -> None:
        corpus = project.corpora.get(pk=passages_of(project, 2))
        recipe = recipe_for(project, corpus=corpus.pk)
        growth = {"corpus": corpus.pk, "endpoint": project.endpoints.get(preset="offline").pk, "depth": 0}
        conversation = make_conversation(project)
        about = {"description": "Works at night.", "features": {}}
        self.persona: Persona = save_persona(project=project, name="Nurse", author=owner, **about)
        prompt: Prompt = project.prompts.get()
        improvement = proposed(project, conversation)
        label = add_label(conversation=conversation, name="good", author=owner)
        corpus.files.get().file.save("a.txt", ContentFile(b"words"))
        note = add_note(conversation=conversation, text="Check it.", author=owner)
        server = self._server(project)
        self.name, self.collection = project.name, corpus.collection
        self.places = {
            "project": project.slug,
            "endpoint": server.pk,
            "key": server.keys.get().pk,
            "member": add_member(project, make_user(), Role.VIEWER).pk,
            "note": note.pk,
            "recipe": save_recipe(project=project, name="Kept", spec=Recipe.model_validate(recipe), author=owner).pk,
            "trial": ask_for(project=project, kind="preview", request={}, user=owner).pk,
            "bulk": self._decided(project, conversation, owner).pk,
            "corpus": corpus.pk,
            "file": corpus.files.get().pk,
            "document": corpus.documents.get().pk,
            "persona": self.persona.pk,
            "prompt": prompt.pk,
            "conversation": conversation.pk,
            "label": label.pk,
            "export": self._export(project, owner).pk,
            "run": start_run(project=project, spec=self._pairs(recipe), user=owner).pk,
            "action": "pause",
            "improvement": improvement.improvement_id,
            "proposal": improvement.pk,
            "change": "cancel",
            "growth": ordered(project, corpus, owner).pk,
            "step": "cancel",
            "tool": save_tool(project=project, name="weather", description="", parameters={}, actor=owner).pk,
            "number": store_import(project=project, file=talk(), actor=owner).pk,
            "persona_import": start_import(project=project, text="- description: Asks.", author=owner).pk,
            "criterion": save_criterion(project=project, **TONE, weight=1, needs_passages=False).pk,
            "report": self._report(project, owner).pk,
            "rule": (rule := rules_of(project)[0]).pk,
            "alert": self._alert(rule).pk,
        }
        self.bodies: dict[str, Any] = {
            "start_improvement": {"how": improvement.improvement.spec},
            "estimate_improving": {"how": improvement.improvement.spec},
            "accept_proposal": {"head": improvement.base_id},
            "create_corpus": {"name": "New"},
            "create_project": {"name": "New"},
            "change_project": {"description": "Another."},
            "add_member": {"username": make_user().username, "role": "viewer"},
            "change_member": {"role": "annotator"},
            "change_corpus": {"name": "Changed"},
            "create_endpoint": {"preset": "ollama", "chat_model": "tiny"},
            "change_endpoint": {"timeout": 60},
            "add_endpoint_key": {"key": "another-key"},
            "change_endpoint_key": {"active": False},
            "archive_prompt": {"archived": True},
            "archive_persona": {"archived": True},
            "archive_tool": {"archived": True},
            "archive_criterion": {"archived": True},
            "change_tool": {"name": "weather", "description": "What it is like outside."},
            "import_tools": {"text": '{"name": "clock", "parameters": {"type": "object", "properties": {}}}'},
            "rename_label": {"name": "better"},
            "decide_on_many": {"decision": "flagged"},
            "preview_run": {"recipe": recipe},
            "draft_correspondent_prompt": {"endpoint": server.pk},
            "read_recipe": {
                "text": write_yaml(spec := Recipe.model_validate(recipe), freeze(project=project, spec=spec))
            },
            "read_config": {"config": CONFIG, "endpoint": server.pk},
            "set_run_budget": {"tokens": 1000},
            "create_persona": {"name": "New", **about},
            "add_persona_version": {"description": "Works by day."},
            "create_prompt": {"name": "New", "role": "respondent", "text": "Be right."},
            "add_prompt_version": {"text": "Be brief."},
            "review_conversation": {"decision": "approved", "version": conversation.head_id},
            "label_conversation": {"name": "new"},
            "note_conversation": {"text": "New."},
            "create_export": {},
            "create_tool": {"name": "new"},
            "create_criterion": TONE | {"name": "New"},
            "save_criterion_again": TONE,
            "create_report": {},
            "save_recipe": {"name": "New", "recipe": recipe},
            "import_from_text": {"text": "- description: Works by day."},
            "accept_personas": {},
            "decide_persona": {"decision": "rejected"},
            "grow_personas_from_documents": growth,
            "estimate_persona_growth": growth,
            "launch_run": {"recipe": recipe},
            "change_alert_rule": {"threshold": 0.5},
            "estimate_run": {"recipe": recipe},
        }

    async def _indexed(self) -> None:
        """There is an index of the corpus, in which nothing is found."""
        async with connect(settings.QDRANT_URL, settings.QDRANT_API_KEY) as client:
            await PassageIndex(client, self.collection).ensure(None)

    @staticmethod
    def _server(project: Project) -> Endpoint:
        """An endpoint with a key."""
        values = {"name": "Server", "preset": "custom", "base_url": "http://127.0.0.1:9/v1", "chat_model": "tiny"}
        return save_endpoint(project=project, user=None, values=values, key="secret-key")

    @staticmethod
    def _decided(project: Project, conversation: Conversation, owner: User) -> BulkAction:
        """A label that was put on all, and is done."""
        label = label_named(project=project, name="all")
        action = start_bulk(
            project=project, actor=owner, filter=ConversationFilter(), label=label, up_to=conversation.pk
        )
        while advance(action_id=action.pk):
            pass
        return action

    @staticmethod
    def _pairs(recipe: dict[str, Any]) -> Recipe:
        """The recipe, of preference pairs."""
        models = recipe["models"] | {"judge": recipe["models"]["respondent"]}
        return Recipe.model_validate(recipe | {"product": {"kind": "pairs"}, "judge": {}, "models": models})

    @staticmethod
    def _alert(rule: AlertRule) -> Alert:
        now = {"began": timezone.now(), "last_seen": timezone.now()}
        return Alert.objects.create(project=rule.project, rule=rule, severity="error", value=1, sentence="So.", **now)

    @staticmethod
    def _report(project: Project, owner: User) -> Report:
        report = start_report(project=project, actor=owner, filter=ConversationFilter())
        make_report(report_id=report.pk)
        return report

    @staticmethod
    def _export(project: Project, owner: User) -> Export:
        export = start_export(
            project=project, actor=owner, filter=ConversationFilter(), format="messages", options=Options()
        )
        write_export(export_id=export.pk)
        return export

    def call(self, program: Program, operation: str, **places: Any) -> HttpResponse:
        method, path = next((method, path) for name, method, path in OPERATIONS if name == operation)
        path = path.format(**(self.places | places))
        if operation == "upload_files":
            return program.upload(path, files=[ContentFile(b"words", name="new.txt")])
        if operation == "search_passages":
            asyncio.run(self._indexed())
        if operation == "create_import":
            return program.upload(path, file=talk())
        query = {"search_passages": {"q": "words"}, "delete_project": {"name": self.name}}.get(operation, {})
        return program.call(method, path, self.bodies.get(operation), **query)


@pytest.fixture
def world(project: Project, owner: User, foreign: ForeignQdrant) -> World:
    world = World(project, owner)
    foreign.request("PUT", "/collections/theirs", {"vectors": {"size": 1, "distance": "Dot"}})
    point = {"id": 1, "vector": [1.0], "payload": {"text": "words"}}
    foreign.request("PUT", "/collections/theirs/points", {"points": [point]})
    world.bodies["adopt_collection"] = {"name": "Theirs", "url": foreign.url, "collection": "theirs"}
    world.bodies["set_embedding"] = {"endpoint": None}
    return world


def member(project: Project, role: Role) -> Program:
    user = make_user()
    add_member(project, user, role)
    return Program.of(user)


@pytest.mark.parametrize("operation", [name for name, _, _ in OPERATIONS])
def test_everything_is_open_to_the_owner(world: World, owner: User, operation: str) -> None:
    if operation == "delete_project":
        clear_of_corpora(owner)
    answer = world.call(Program.of(owner), operation)
    assert answer.status_code in (200, 201, 204), answer.content
    if operation in ("download_export", "download_original"):
        assert b"".join(answer.streaming_content)


def test_nothing_is_open_without_a_token(world: World) -> None:
    for operation, _, _ in OPERATIONS:
        assert refusal(world.call(Program(), operation), 401)


def test_a_stranger_is_told_that_nothing_is_there(world: World, stranger: User) -> None:
    program = Program.of(stranger)
    for operation in {*READING, *WRITING} - ANYBODYS:
        missing = refusal(world.call(program, operation), 404)
        assert missing == refusal(world.call(program, operation, project="no-such-project"), 404)


def test_rows_of_another_project_are_not_reached_through_my_own(world: World, stranger: User) -> None:
    program, mine = Program.of(stranger), stranger.projects.get().slug
    about_one_row = [name for name, _, path in OPERATIONS if path.count("{") > 1]
    assert len(about_one_row) > 20
    for operation in about_one_row:
        refusal(world.call(program, operation, project=mine), 404)


def test_a_viewer_reads_everything_and_writes_nothing(world: World, project: Project) -> None:
    program = member(project, Role.VIEWER)
    for operation in set(READING) - CURATING:
        assert world.call(program, operation).status_code == 200
    for operation in {*WRITING, *CURATING} - ANYBODYS:
        assert "role" in refusal(world.call(program, operation), 403)


def test_an_annotator_reviews_and_changes_nothing_else(world: World, project: Project) -> None:
    program = member(project, Role.ANNOTATOR)
    for operation in {*WRITING, *CURATING} - REVIEWING - OWNING - ANYBODYS:
        assert "curator" in refusal(world.call(program, operation), 403)
    for operation in REVIEWING - {"delete_note_of_mine"}:
        assert world.call(program, operation).status_code in (200, 201, 204)


def test_a_curator_changes_nothing_that_is_the_owners(world: World, project: Project) -> None:
    program = member(project, Role.CURATOR)
    for operation in OWNING:
        assert "owner" in refusal(world.call(program, operation), 403)


def clear_of_corpora(owner: User) -> None:
    """As workers do after corpora were deleted, without which a project stays."""
    Corpus.with_deleted.filter(project__memberships__user=owner).delete()


def test_the_list_of_endpoints_never_holds_a_key(world: World, owner: User) -> None:
    assert set(world.call(Program.of(owner), "list_endpoints").json()["items"][0]) == {
        "id", "name", "preset", "base_url", "chat_model", "embedding_model", "offline", "keys",
    }  # fmt: skip
