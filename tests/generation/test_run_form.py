"""The run form: defaults that launch at once, every field in the recipe and back, errors beside the field."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets.models import Persona, Project, PromptRole, User
from datasets.services.personas.saving import save_persona
from generation.engine.recipe import Budget, ModelChoice, Recipe, Retrieval
from generation.forms.recipes import RecipeForm, initial_from
from generation.models import Endpoint, Run, Slot, Trial
from generation.services.servers.endpoints import save_endpoint, save_prices
from tests.factories import make_project
from tests.generation.api_recipes import passages_of
from tests.generation.runs import expert, launched, recipe

ClientOf = Callable[[User], Client]
pytestmark = pytest.mark.django_db


@pytest.fixture
def server(project: Project, owner: User) -> Endpoint:
    fields = {"name": "Server", "preset": "custom", "base_url": "http://127.0.0.1:9/v1", "chat_model": "big"}
    return save_endpoint(project=project, user=owner, values=fields)


def persona(project: Project, name: str) -> Persona:
    return save_persona(project=project, name=name, description=f"{name} asks.", features={}, author=None)


def address(project: Project, name: str = "run-new") -> str:
    return reverse(f"generation:{name}", args=[project.slug])


def shown(client: Client, project: Project, query: str = "") -> dict[str, Any]:
    """What a browser would post if the form were sent as it first stands."""
    answer = client.get(address(project) + query)
    assert answer.status_code == 200
    return dict(answer.context["form"].as_posted().data)


# -- launching --------------------------------------------------------------------------------------------------------


def test_the_form_launches_as_it_stands(project: Project, teammate: User, client_of: ClientOf) -> None:
    corpus, prompt, ada = passages_of(project, 3), expert(project), persona(project, "Ada")
    client = client_of(teammate)
    answer = client.post(address(project), shown(client, project))
    run = Run.objects.get()
    assert answer["Location"] == reverse("generation:run-detail", args=[project.slug, run.pk])
    assert (run.corpus_id, run.spec["respondent_prompt"], run.spec["personas"]) == (corpus, prompt.pk, [ada.pk])
    assert (run.slots_total, run.slots.count(), run.created_by) == (20, 20, teammate)
    assert run.offline
    assert set(run.slots.values_list("persona", "state")) == {(ada.pk, Slot.State.PENDING)}


def test_a_server_is_preferred_to_the_offline_model_and_the_newest_prompts_to_the_others(
    project: Project, server: Endpoint, teammate: User, client_of: ClientOf
) -> None:
    expert(project, "Older")
    newer, asker = expert(project, "Newer"), expert(project, "Asker", PromptRole.CORRESPONDENT)
    first = shown(client_of(teammate), project)
    assert first["endpoint"] == server.pk
    assert (first["respondent_prompt"], first["correspondent_prompt"]) == (newer.pk, asker.pk)


def test_two_runs_of_the_untouched_form_ask_different_questions(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    expert(project)
    client = client_of(teammate)
    assert shown(client, project)["seed"] != shown(client, project)["seed"]


def test_only_curators_launch(
    project: Project, teammate: User, annotator: User, stranger: User, client_of: ClientOf
) -> None:
    expert(project)
    values = shown(client_of(teammate), project)
    for name in ("run-new", "run-preview", "run-estimate"):
        assert client_of(annotator).post(address(project, name), values).status_code == 403
        assert client_of(stranger).post(address(project, name), values).status_code == 404
    assert client_of(annotator).get(address(project)).status_code == 403
    assert not Run.objects.exists()
    assert not Trial.objects.exists()


# -- from the form to the recipe and back -----------------------------------------------------------------------------


def full_recipe(project: Project, server: Endpoint) -> Recipe:
    offline = project.endpoints.get(preset="offline").pk
    return Recipe(
        corpus=passages_of(project, 3),
        respondent_prompt=expert(project).pk,
        correspondent_prompt=expert(project, "Asker", PromptRole.CORRESPONDENT).pk,
        instruction_prompt=expert(project, "Writer", PromptRole.INSTRUCTION).pk,
        personas=tuple(persona(project, name).pk for name in ("Ada", "Bob")),
        models={
            "instruction": ModelChoice(endpoint=server.pk, model="small", temperature=0.9, max_tokens=300),
            "correspondent": ModelChoice(endpoint=server.pk, model="", temperature=0),
            "respondent": ModelChoice(endpoint=server.pk, model="huge", max_tokens=4000),
            "judge": ModelChoice(endpoint=offline, model="offline"),
        },
        conversations=77,
        max_turns=7,
        contexts=2,
        retrieval=Retrieval(when="dialog", depth=9, with_context=False),
        judge=True,
        concurrency=33,
        seed=12345,
        budget=Budget(tokens=5_000_000, money=Decimal("12.5")),
    )


def rows_of(properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of rows that must have all of these and nothing else."""
    whole = {"properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "object"} | whole


def test_every_field_reaches_the_recipe_and_comes_back_from_it(
    project: Project, server: Endpoint, teammate: User, client_of: ClientOf
) -> None:
    spec = full_recipe(project, server)
    values = RecipeForm(project=project, initial=initial_from(spec)).as_posted().data
    client = client_of(teammate)
    assert client.post(address(project), values | {"name": "All of it", "save_as": "Everything"}).status_code == 302

    run, kept = Run.objects.get(), project.recipes.get(name="Everything")
    assert Recipe.model_validate(run.spec) == Recipe.model_validate(kept.spec) == spec
    assert (run.name, run.recipe) == ("All of it", kept)
    for query in (f"?run={run.pk}", f"?recipe={kept.pk}"):
        again = RecipeForm(shown(client, project, query), project=project)
        assert again.is_valid(), again.errors
        assert again.recipe() == spec


@pytest.mark.parametrize(
    "change",
    [
        {"corpus": None, "retrieval": {"when": "never"}},
        {"judge": False},
        {"personas": ()},
        {"budget": {}},
        {"correspondent_prompt": None, "instruction_prompt": None},
        {"retrieval": {"when": "never", "with_context": False}},
        {"product": {"kind": "rows", "form": {"type": "object", "properties": {"topic": {"type": "string"}}}}},
        {"product": {"kind": "rows", "form": rows_of({" a": {"type": "string"}, "b": {"enum": [1, "x, y"]}})}},
        {"product": {"kind": "rows", "form": rows_of({"a": {"type": "string", "description": "Two\nlines."}})}},
        {
            "product": {
                "kind": "rows",
                "form": rows_of({"a": {"type": "integer", "minimum": 1}, "b": {"type": "number"}}),
            }
        },
        {
            "product": {
                "kind": "rows",
                "form": rows_of({"a": {"type": "number"}, "b": {"enum": ["x", "y"], "type": "string"}}),
            }
        },
        {"product": {"kind": "pairs", "strategy": "combined", "answers": 4, "gap": 0.25}},
        {
            "questions": {
                "batch": 5,
                "distinct": False,
                "visits": 2,
                "fresh": True,
                "scenarios": ["At night.", "On a ladder."],
            }
        },
        {"judge": {"weights": {"helpfulness": 2.5}, "aggregation": "min", "grades": {"perfect": 0.95, "good": 0.8}}},
        {"improve": {"attempts": 4, "below": 0.5}},
        {"retrieval": {"cached": True, "template": "{prompt} <- {context} {other}"}},
        {
            "retrieval": {
                "retriever": {"kind": "chain", "retrievers": [{"kind": "text", "text": "T"}, {"kind": "corpus"}]}
            }
        },
        {"retrieval": {"retriever": {"kind": "text", "text": "Two\nlines.", "title": "House rules"}}},
        {"retrieval": {"retriever": {"kind": "text", "text": " indented"}}},
        {"retrieval": {"retriever": {"kind": "text", "text": "T", "title": ""}}},
        {
            "retrieval": {
                "retriever": {
                    "kind": "ensemble",
                    "members": [
                        {"retriever": {"kind": "corpus"}, "weight": 2.5},
                        {"retriever": {"kind": "text", "text": "T"}},
                    ],
                }
            }
        },
        {
            "retrieval": {
                "retriever": {
                    "kind": "chain",
                    "enough": 900,
                    "retrievers": [{"kind": "text", "text": "T"}, {"kind": "text", "text": "U"}],
                }
            }
        },
        {"retrieval": {"retriever": {"kind": "chain", "retrievers": [{"kind": "corpus"}] * 5}}},
        {
            "retrieval": {
                "retriever": {
                    "kind": "chain",
                    "retrievers": [{"kind": "ensemble", "members": [{"retriever": {"kind": "corpus"}}]}],
                }
            }
        },
        {"stopping": [{"kind": "coverage", "visits": 2, "share": 0.5}, {"kind": "personas", "number": 1}]},
        {"stopping": [{"kind": "error_rate", "rate": 0.25}, {"kind": "error_rate", "rate": 0.25, "window": 7}]},
        {
            "stopping": [
                {"kind": "coverage"},
                {"kind": "all", "rules": [{"kind": "coverage", "visits": 3}, {"kind": "spending", "money": "2.5"}]},
            ]
        },
    ],
)
def test_a_recipe_that_leaves_things_out_comes_back_the_same(
    project: Project, server: Endpoint, change: dict[str, Any]
) -> None:
    spec = Recipe.model_validate(full_recipe(project, server).model_dump() | change)
    spec = spec.model_copy(
        update={"models": {role: spec.models[role] for role in spec.models if role != "judge" or spec.judge}}
    )
    form = RecipeForm(project=project, initial=initial_from(spec)).as_posted()
    assert form.is_valid(), form.errors
    assert form.recipe() == spec


@pytest.mark.parametrize(
    ("said", "field", "words"),
    [
        ({"product": "rows"}, "row_name_0", "Name at least one field"),
        ({"product": "rows", "row_schema": "{}"}, "row_schema", "object with properties"),
        ({"product": "rows", "row_schema": "{"}, "row_schema", "not JSON"),
        ({"product": "rows", "row_name_0": "a", "row_schema": '{"type": "object"}'}, "row_schema", "not both"),
        ({"product": "rows", "row_name_0": "a", "row_name_4": "a"}, "row_name_4", "Another field"),
        ({"product": "rows", "row_about_1": "The topic."}, "row_name_1", "a name"),
        (
            {"product": "rows", "row_name_0": "a", "row_kind_0": "choice", "row_about_0": "x, x"},
            "row_about_0",
            "two or",
        ),
        ({"product": "tool_dialogs"}, "tools", "at least one tool"),
        ({"retriever": "chain"}, "member_0", "Choose what"),
        ({"retriever": "ensemble", "member_2": "text"}, "retriever_text", "Write the text"),
        ({"retriever": "text", "retriever_text": " \r\n "}, "retriever_text", "Write the text"),
        ({"retriever": "chain", "member_1": "corpus", "corpus": ""}, "member_1", "no corpus"),
        ({"retriever": "corpus:0"}, "retriever", "not one of the available choices"),
        (
            {"retriever": "text", "retriever_text": "T", "more": "retrieval: {retriever: {kind: corpus}}"},
            "more",
            "in one place",
        ),
        ({"improve": "on"}, "judge", "needs a judge"),
        ({"judge": "on", "weight_coherence": "1"}, "embedding_endpoint", "embedding model"),
        ({"judge": "on", "grade_good": "0.95"}, "grade_perfect", "falling"),
        ({"more": "hooks: ["}, "more", "YAML"),
        ({"more": "- 1"}, "more", "parts of a recipe"),
        ({"more": "stopping: [{kind: sometime}]"}, "more", "stopping.0"),
        ({"more": "hooks: [{name: nobody}]"}, "more", "no hooks named “nobody”"),
        ({"more": "wat: 1"}, "more", "wat"),
        ({"product": "pairs", "judge": "on", "more": "improve: {attempts: 3}"}, "more", "leave improving out"),
    ],
)
def test_parts_that_cannot_be_are_refused_where_they_were_said(
    project: Project, teammate: User, client_of: ClientOf, said: dict[str, str], field: str, words: str
) -> None:
    expert(project)
    client = client_of(teammate)
    answer = client.post(address(project), shown(client, project) | said)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert words in str(answer.context["form"].errors[field])
    assert not Run.objects.exists()


def test_improving_is_a_switch_of_other_products_than_pairs_and_says_nothing_when_pairs_are_made(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    expert(project)
    client = client_of(teammate)
    said = shown(client, project) | {"judge": "on", "improve": "on"}
    assert b'class="unless-pairs' in client.get(address(project)).content
    summary = client.post(address(project, "run-estimate"), said | {"product": "pairs"}).content.decode()
    assert "Model calls" in summary
    assert "Improving adds" not in summary
    assert client.post(address(project), said | {"product": "pairs"}).status_code == 302
    assert (Run.objects.get().spec["product"]["kind"], Run.objects.get().spec["improve"]) == ("pairs", None)


def test_what_a_row_holds_is_named_field_by_field_and_comes_back_so(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    expert(project)
    client = client_of(teammate)
    said = {
        "product": "rows",
        "row_name_0": "Zeta", "row_about_0": "What it is about.",
        "row_name_1": "mood", "row_kind_1": "choice", "row_about_1": "calm,  angry, calm",
        "row_name_3": "steps", "row_kind_3": "texts",
        "row_name_4": "urgent", "row_kind_4": "boolean",
    }  # fmt: skip
    assert client.post(address(project), shown(client, project) | said).status_code == 302
    form = json.loads(Run.objects.get().spec["product"]["form"])
    assert form == {
        "type": "object",
        "properties": {
            "Zeta": {"type": "string", "description": "What it is about."},
            "mood": {"type": "string", "enum": ["calm", "angry"]},
            "steps": {"type": "array", "items": {"type": "string"}},
            "urgent": {"type": "boolean"},
        },
        "required": ["Zeta", "mood", "steps", "urgent"],
        "additionalProperties": False,
    }
    assert list(form["properties"]) == ["Zeta", "mood", "steps", "urgent"]
    again = shown(client, project, f"?run={Run.objects.get().pk}")
    assert [again.get(f"row_name_{number}") for number in range(5)] == ["Zeta", "mood", "steps", "urgent", None]
    assert (again["row_kind_1"], again["row_about_1"], again.get("row_schema")) == ("choice", "calm, angry", None)


def test_pairs_are_judged_without_being_asked_for(project: Project, teammate: User, client_of: ClientOf) -> None:
    expert(project)
    client = client_of(teammate)
    said = shown(client, project) | {"product": "pairs"}
    assert "judge" not in said
    assert client.post(address(project), said).status_code == 302
    assert Run.objects.get().spec["judge"]["weights"] == {"factuality": 1.0, "grounding": 1.0, "helpfulness": 1.0}


def test_what_keeps_a_run_from_being_reckoned_is_said_in_the_summary(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    expert(project)
    assert "needs a judge" in estimate(client_of(teammate), project, improve="on")


def test_a_run_of_pairs_that_was_to_improve_can_be_read_and_is_launched_again_without_that(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    choice = ModelChoice(endpoint=project.endpoints.get(preset="offline").pk)
    models = dict.fromkeys(("instruction", "correspondent", "respondent", "judge"), choice)
    run = launched(project, product={"kind": "pairs"}, models=models, judge=True)
    run.spec["improve"] = {"attempts": 3, "below": 0.5}
    run.save()
    client = client_of(teammate)
    assert client.get(reverse("generation:run-detail", args=[project.slug, run.pk])).status_code == 200
    assert client.post(address(project), shown(client, project, f"?run={run.pk}")).status_code == 302
    assert Run.objects.latest("pk").spec["improve"] is None


def test_the_summary_tells_how_many_conversations_the_passages_are_good_for_and_what_improving_may_add(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    passages_of(project, 3)
    expert(project)
    client = client_of(teammate)
    said = {"conversations": "500", "visits": "2", "judge": "on", "improve": "on"}
    answer = client.post(address(project, "run-estimate"), shown(client, project) | said)
    page = " ".join(answer.content.decode().split())
    assert "<dt>Conversations</dt><dd>6</dd>" in page
    assert f"up to {2 * 6 * (2 + 1 + 1)} calls" in page


def test_a_recipe_whose_prompt_is_gone_says_so(project: Project, teammate: User, client_of: ClientOf) -> None:
    run = launched(project)
    project.prompts.update(archived=True)
    expert(project, "Another")
    page = client_of(teammate).get(f"{address(project)}?run={run.pk}").content.decode()
    assert "choose again for Assistant (respondent)" in page


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("conversations", "0"), ("conversations", "100001"), ("conversations", "many"), ("max_turns", "51"),
        ("concurrency", "0"), ("contexts", "21"), ("retrieval_depth", "0"), ("retrieval_when", "sometimes"),
        ("budget_money", "0"), ("budget_money", "-1"), ("budget_money", "NaN"), ("budget_tokens", "0"),
        ("seed", "-1"), ("respondent_temperature", "2.1"), ("judge_max_tokens", "0"), ("endpoint", ""),
        ("respondent_prompt", ""), ("name", "n" * 121), ("name", "nul\x00"), ("save_as", "s" * 101), ("model", "m" * 151),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_beside_its_field(
    project: Project, teammate: User, client_of: ClientOf, field: str, value: str
) -> None:
    expert(project)
    client = client_of(teammate)
    answer = client.post(address(project), shown(client, project) | {field: value})
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert f'id="id_{field}_error"' in answer.content.decode()
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "field", ["corpus", "respondent_prompt", "correspondent_prompt", "instruction_prompt", "personas", "endpoint", "judge_endpoint"]
)  # fmt: skip
def test_what_belongs_to_another_project_is_refused(
    project: Project, teammate: User, client_of: ClientOf, field: str
) -> None:
    expert(project)
    other = make_project()
    foreign = {
        "corpus": passages_of(other, 1),
        "respondent_prompt": expert(other).pk,
        "correspondent_prompt": expert(other, "Asker", PromptRole.CORRESPONDENT).pk,
        "instruction_prompt": expert(other, "Writer", PromptRole.INSTRUCTION).pk,
        "personas": [persona(other, "Eve").pk],
        "endpoint": other.endpoints.get().pk,
        "judge_endpoint": other.endpoints.get().pk,
    }
    client = client_of(teammate)
    answer = client.post(address(project), shown(client, project) | {field: foreign[field]})
    assert (answer.status_code, list(answer.context["form"].errors)) == (422, [field])


def test_a_recipe_run_or_preview_of_another_project_is_not_found(
    project: Project, stranger: User, client_of: ClientOf
) -> None:
    run = launched(project)
    theirs = address(stranger.projects.get())
    assert client_of(stranger).get(f"{theirs}?run={run.pk}").status_code == 404


def test_a_corpus_without_passages_is_refused_with_what_to_do(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    expert(project)
    empty = passages_of(project, 0)
    client = client_of(teammate)
    answer = client.post(address(project), shown(client, project) | {"corpus": empty})
    assert "add documents" in answer.context["form"].errors["corpus"][0]


def test_an_endpoint_without_a_chat_model_needs_one_named(
    project: Project, server: Endpoint, teammate: User, client_of: ClientOf
) -> None:
    expert(project)
    Endpoint.objects.filter(pk=server.pk).update(chat_model="")
    client = client_of(teammate)
    values = shown(client, project) | {"endpoint": server.pk, "model": ""}
    answer = client.post(address(project), values)
    assert answer.status_code == 422
    assert b"has no default one" in answer.content
    assert client.post(address(project), values | {"model": "big"}).status_code == 302


# -- the summary ------------------------------------------------------------------------------------------------------


def estimate(client: Client, project: Project, **changes: Any) -> str:
    answer = client.post(
        address(project, "run-estimate"), shown(client, project) | changes, headers={"HX-Request": "true"}
    )
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_summary_is_reckoned_anew_at_each_change(project: Project, teammate: User, client_of: ClientOf) -> None:
    expert(project)
    client = client_of(teammate)
    ten = estimate(client, project, conversations=10, max_turns=3)
    assert "≈ 40" in ten  # ten first questions, twenty answers, ten more questions
    assert "≈ 50" in estimate(client, project, conversations=10, max_turns=3, judge="on")
    assert "offline model" in ten
    assert "<html" not in ten
    assert "<button" not in ten  # a button that is replaced while it is pressed loses its click
    assert not Run.objects.exists()


def test_the_summary_knows_prices_and_says_when_there_are_none(
    project: Project, server: Endpoint, teammate: User, client_of: ClientOf
) -> None:
    expert(project)
    client = client_of(teammate)
    assert "unknown" in estimate(client, project)
    save_prices(endpoint=server, prices={"": (Decimal(1000), Decimal(1000))})
    page = estimate(client, project, budget_money="1")
    assert "unknown" not in page
    assert "Share of the money budget" in page
    assert 'class="meter over"' in page


def test_the_summary_of_an_incomplete_form_says_so(project: Project, teammate: User, client_of: ClientOf) -> None:
    expert(project)
    assert "Complete the form for an estimate: Conversations." in estimate(
        client_of(teammate), project, conversations=""
    )


# -- preview ----------------------------------------------------------------------------------------------------------


def test_preview_asks_a_worker_for_one_conversation_and_launches_nothing(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    expert(project)
    client = client_of(teammate)
    answer = client.post(address(project, "run-preview"), shown(client, project) | {"conversations": 9})
    trial = Trial.objects.get()
    assert answer["Location"] == reverse("generation:trial-detail", args=[project.slug, trial.pk])
    assert (trial.kind, trial.created_by, trial.request["recipe"]["conversations"]) == ("preview", teammate, 9)
    assert not Run.objects.exists()
    assert shown(client, project, f"?trial={trial.pk}")["conversations"] == 9


def test_an_invalid_preview_shows_the_form_whose_launch_still_launches(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    expert(project)
    client = client_of(teammate)
    answer = client.post(address(project, "run-preview"), shown(client, project) | {"max_turns": 0})
    assert answer.status_code == 422
    assert f'action="{address(project)}"' in answer.content.decode()


def test_the_page_of_the_form_does_not_ask_the_database_once_a_row(
    project: Project, teammate: User, client_of: ClientOf, django_assert_max_num_queries: Any
) -> None:
    expert(project)
    for number in range(15):
        persona(project, f"P{number}")
    client = client_of(teammate)
    client.get(address(project))
    with django_assert_max_num_queries(75):
        client.get(address(project))


def test_names_are_shown_as_text(project: Project, teammate: User, client_of: ClientOf) -> None:
    expert(project, "<script>alert(1)</script>")
    launched(project)
    client = client_of(teammate)
    page = client.post(
        address(project), shown(client, project) | {"name": "<img src=x>", "max_turns": 0}
    ).content.decode()
    assert "<script>alert" not in page
    assert "<img src=x>" not in page
    assert recipe(project).respondent_prompt
