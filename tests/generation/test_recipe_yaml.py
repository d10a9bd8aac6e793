"""Recipes as YAML: read by people, carried from project to project, and refused in one sentence when they are wrong."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
import yaml
from django.test import Client
from django.urls import reverse

from datasets.models import Project, PromptRole, User
from datasets.services.personas.saving import save_persona
from generation.engine.recipe import Budget, ModelChoice, Recipe, Retrieval
from generation.services.recipes import save_recipe
from tests.factories import make_project
from tests.generation.api_recipes import passages_of
from tests.generation.runs import expert, launched, recipe

ClientOf = Callable[[User], Client]
pytestmark = pytest.mark.django_db


def list_of(project: Project) -> str:
    return reverse("generation:recipe-list", args=[project.slug])


def full(project: Project) -> Recipe:
    offline = project.endpoints.get(preset="offline").pk
    corpus = passages_of(project, 2)
    project.corpora.filter(pk=corpus).update(name="2024")
    choice = ModelChoice(endpoint=offline)
    return Recipe(
        corpus=corpus,
        respondent_prompt=expert(project, "Expert: “short”").pk,
        correspondent_prompt=expert(project, "Asker", PromptRole.CORRESPONDENT).pk,
        personas=(save_persona(project=project, name="Ada", description="Asks.", features={}, author=None).pk,),
        models={
            "instruction": choice,
            "correspondent": ModelChoice(endpoint=offline, temperature=0.0),
            "respondent": ModelChoice(endpoint=offline, model="offline", max_tokens=500),
            "judge": choice,
        },
        conversations=7,
        retrieval=Retrieval(when="dialog", depth=2),
        judge=True,
        budget=Budget(money=Decimal("1.5")),
    )


def pasted(client: Client, project: Project, text: str) -> Recipe:
    answer = client.post(list_of(project), {"text": text})
    assert answer.status_code == 200, answer.context["form"].errors
    form = answer.context["form"].as_posted()
    assert form.is_valid(), form.errors
    return form.recipe()


def refusal(client: Client, project: Project, text: str) -> str:
    answer = client.post(list_of(project), {"text": text})
    assert answer.status_code == 422
    (sentence,) = answer.context["form"].errors["text"]
    return sentence


def test_a_recipe_as_yaml_has_names_and_pasted_again_is_the_same(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    spec = full(project)
    row = save_recipe(project=project, name="Short", spec=spec, author=teammate)
    client = client_of(teammate)
    answer = client.get(reverse("generation:recipe-yaml", args=[project.slug, row.pk]))
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    said = yaml.safe_load(answer.content)
    assert (said["corpus"], said["respondent_prompt"], said["personas"]) == ("2024", "Expert: “short”", ["Ada"])
    assert said["models"]["correspondent"] == {"endpoint": "Offline model", "temperature": 0.0}
    assert "concurrency" not in said
    assert pasted(client, project, answer.content.decode()) == spec


def test_what_a_judge_goes_by_is_named_too(project: Project, teammate: User, client_of: ClientOf) -> None:
    server = project.endpoints.create(name="Vectors", preset="custom", base_url="http://v/v1", embedding_model="e")
    tone = project.criteria.create(name="Tone", description="Is it kind?")
    judge = {"weights": {"coherence": 1}, "criteria": [tone.pk], "embedding": {"endpoint": server.pk}}
    spec = Recipe.model_validate(dict(full(project)) | {"judge": judge})
    row = save_recipe(project=project, name="Judged", spec=spec, author=teammate)
    client = client_of(teammate)
    text = client.get(reverse("generation:recipe-yaml", args=[project.slug, row.pk])).content.decode()
    said = yaml.safe_load(text)["judge"]
    assert (said["embedding"]["endpoint"], said["criteria"]) == ("Vectors", ["Tone"])
    assert pasted(client, project, text).judge == spec.judge
    assert "“Elsewhere”" in refusal(client, project, text.replace("endpoint: Vectors", "endpoint: Elsewhere"))


def test_corpora_inside_other_retrievers_and_the_second_model_of_pairs_are_named_too(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    project.corpora.filter(pk=passages_of(project, 1)).update(name="Law")
    law = project.corpora.get(name="Law").pk
    server = project.endpoints.create(name="Other", preset="custom", base_url="http://v/v1", chat_model="m")
    tree = {
        "kind": "chain",
        "retrievers": [
            {"kind": "corpus"},
            {"kind": "ensemble", "members": [{"retriever": {"kind": "corpus", "corpus": law}, "weight": 2}]},
        ],
    }
    base = dict(full(project))
    spec = Recipe.model_validate(
        base
        | {
            "retrieval": {"when": "dialog", "retriever": tree},
            "product": {"kind": "pairs", "strategy": "model", "second": {"endpoint": server.pk}},
        }
    )
    row = save_recipe(project=project, name="Deep", spec=spec, author=teammate)
    client = client_of(teammate)
    text = client.get(reverse("generation:recipe-yaml", args=[project.slug, row.pk])).content.decode()
    said = yaml.safe_load(text)
    assert said["retrieval"]["retriever"]["retrievers"][1]["members"][0]["retriever"]["corpus"] == "Law"
    assert said["product"]["second"]["endpoint"] == "Other"
    assert pasted(client, project, text) == spec
    assert "no corpus named “Lore”" in refusal(client, project, text.replace("corpus: Law", "corpus: Lore"))


def test_a_recipe_goes_to_another_project_that_has_the_same_names(
    project: Project, owner: User, client_of: ClientOf
) -> None:
    other = make_project(owner)
    theirs, ours = expert(other, "Same"), expert(project, "Same")
    client = client_of(owner)
    run = launched(project, respondent_prompt=ours.pk, max_turns=9)
    text = client.get(reverse("generation:run-yaml", args=[project.slug, run.pk])).content.decode()
    spec = pasted(client, other, text)
    assert (spec.respondent_prompt, spec.max_turns, spec.corpus) == (theirs.pk, 9, None)


def test_the_recipe_of_a_run_keeps_the_names_that_it_was_launched_with(
    project: Project, owner: User, client_of: ClientOf
) -> None:
    run = launched(project)
    project.prompts.filter(role="respondent").update(name="Renamed")
    page = client_of(owner).get(reverse("generation:run-yaml", args=[project.slug, run.pk])).content.decode()
    assert "respondent_prompt: Expert\n" in page


GOOD = """
respondent_prompt: Expert
retrieval: {when: never}
models:
  instruction: {endpoint: Offline model}
  correspondent: {endpoint: Offline model}
  respondent: {endpoint: Offline model}
corpus:
"""


BOMB = (
    "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)) + "corpus: *a29"
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (GOOD + "temprature: 1", "“temprature” is not part of a recipe: check its spelling, or leave it out."),
        (GOOD + "budget: {coins: 3}", "“budget.coins” is not part of a recipe"),
        (GOOD.replace("correspondent: {endpoint", "correspondent: {temprature: 1, endpoint"), "models.correspondent.temprature"),
        (GOOD.replace("Expert", "Nobody"), "There is no respondent prompt named “Nobody” in this project."),
        (GOOD.replace("  respondent: {endpoint: Offline model}", "  respondent: {endpoint: X}"), "no endpoint named “X”"),
        (GOOD + "personas: [Eve]", "There is no persona named “Eve” in this project."),
        (GOOD.replace("respondent_prompt: Expert", ""), "“respondent_prompt” is missing."),
        (GOOD.replace("  respondent: {endpoint: Offline model}", ""), "Choose an endpoint for: respondent."),
        (GOOD + "conversations: 0", "“conversations”: Input should be greater than or equal to 1."),
        (GOOD + "conversations: lots", "“conversations”: Input should be a valid integer"),
        (GOOD.replace("corpus:", "corpus: Nowhere"), "There is no corpus named “Nowhere” in this project."),
        ("models: [", "This cannot be read as YAML (line 1)"),
        ("respondent_prompt: 'a\n\n b: c", "This cannot be read as YAML"),
        ("just some words", "this has none"),
        ("- a\n- b", "this has none"),
        ("!!python/object/apply:os.system ['echo']", "This cannot be read as YAML"),
        ("models: 3\nrespondent_prompt: Expert", "“corpus” is missing."),
        ("a: &a [x, x]\nb: &b [*a, *a]\ncorpus: [*b, *b]", "is named by its name"),
        (BOMB, "It is too large once its aliases are filled in"),
    ],
)  # fmt: skip
def test_what_is_no_recipe_is_refused_in_one_sentence(
    project: Project, teammate: User, client_of: ClientOf, text: str, sentence: str
) -> None:
    expert(project)
    assert sentence in refusal(client_of(teammate), project, text)


def test_pairs_that_are_to_be_improved_are_refused(project: Project, teammate: User, client_of: ClientOf) -> None:
    spec = full(project)
    client = client_of(teammate)
    row = save_recipe(project=project, name="Pairs", spec=spec, author=teammate)
    text = client.get(reverse("generation:recipe-yaml", args=[project.slug, row.pk])).content.decode()
    said = yaml.safe_load(text) | {"product": {"kind": "pairs"}, "improve": {"attempts": 2}}
    sentence = "Preference pairs compare answers as they were given: leave improving out."
    assert refusal(client, project, yaml.safe_dump(said)) == sentence


def test_a_pasted_text_is_shown_as_text(project: Project, teammate: User, client_of: ClientOf) -> None:
    page = client_of(teammate).post(list_of(project), {"text": "</textarea><script>alert(1)</script>"})
    assert b"<script>alert" not in page.content


def test_a_recipe_that_points_to_something_gone_says_what(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    spec = recipe(project).model_copy(update={"corpus": passages_of(project, 1)})
    row = save_recipe(project=project, name="Stale", spec=spec, author=teammate)
    project.corpora.get().delete()
    answer = client_of(teammate).get(reverse("generation:recipe-yaml", args=[project.slug, row.pk]), follow=True)
    assert "cannot be written as it stands. That corpus is not in this project" in answer.content.decode()


def test_viewers_read_recipes_and_only_curators_paste_and_delete_them(
    project: Project, teammate: User, annotator: User, stranger: User, client_of: ClientOf
) -> None:
    row = save_recipe(project=project, name="Kept", spec=recipe(project), author=teammate)
    yaml_of, delete = (reverse(f"generation:recipe-{name}", args=[project.slug, row.pk]) for name in ("yaml", "delete"))
    assert b"Kept" in client_of(annotator).get(list_of(project)).content
    assert client_of(annotator).get(yaml_of).status_code == 200
    assert client_of(annotator).post(list_of(project), {"text": GOOD}).status_code == 403
    assert client_of(annotator).post(delete).status_code == 403
    for address in (list_of(project), yaml_of):
        assert client_of(stranger).get(address).status_code == 404
    elsewhere = reverse("generation:recipe-yaml", args=[stranger.projects.get().slug, row.pk])
    assert client_of(stranger).get(elsewhere).status_code == 404
    assert client_of(teammate).post(delete).status_code == 302
    assert not project.recipes.exists()


def test_a_deleted_recipe_leaves_its_runs(project: Project, teammate: User, client_of: ClientOf) -> None:
    row = save_recipe(project=project, name="Kept", spec=recipe(project), author=teammate)
    run = launched(project)
    run.recipe = row
    run.save()
    client_of(teammate).post(reverse("generation:recipe-delete", args=[project.slug, row.pk]))
    run.refresh_from_db()
    assert run.recipe is None
