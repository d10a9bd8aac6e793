"""Recipes: whole configurations of a run, kept under a name, and written as texts for people."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema

from datasets.access import project_for
from datasets.api.shapes import PROJECT, ApiRequest, Body, Id, Line, Page, Place, Storable, inside, named, page_of
from datasets.models import Role
from datasets.services.errors import Refused
from generation.engine.recipe import Recipe as RecipeSpec
from generation.frozen import Frozen
from generation.models import Recipe
from generation.services import recipes
from generation.services.afterimage.runs import pasted_recipe
from generation.services.recipe_yaml import read_yaml, write_yaml
from generation.services.running.freezing import freeze

router = Router(tags=["Recipes"])

RECIPES = PROJECT + "/recipes"
RECIPE = RECIPES + "/{int:recipe}"
YAML: dict[str, Any] = {"responses": {200: {"description": "The text", "content": {"application/yaml": {}}}}}
LONGEST = 100_000


class RecipeIn(Body):
    name: Line = Field(examples=["Handbook, short"])
    recipe: RecipeSpec


class RecipeOut(Schema):
    id: int
    name: str
    recipe: RecipeSpec = Field(alias="spec")
    created: datetime
    updated: datetime


class TextIn(Body):
    text: Annotated[str, Storable] = Field(
        max_length=LONGEST, examples=["corpus: Handbook\nconversations: 20\nmodels: {…}\n"]
    )


class ConfigIn(Body):
    config: Annotated[str, Storable] = Field(
        max_length=LONGEST, description="The config file.", examples=["respondent: {system_prompt: Be right.}\n"]
    )
    corpus: Id | None = Field(None, description="Where its documents are, if they are files on your computer.")
    endpoint: Id | None = Field(None, description="Who is asked; null: the one at its address. It never brings a key.")


class ReadOut(Schema):
    recipe: RecipeSpec = Field(description="As `POST …/runs` takes it. Nothing is saved or launched.")
    notes: list[str] = Field(description="What of the text has no place in a run.")


@router.get(RECIPES, response=Page[RecipeOut])
def list_recipes(request: ApiRequest, project: str, place: Query[Place]) -> dict[str, Any]:
    """The recipes of a project, oldest first: each can be launched as it stands."""
    return page_of(project_for(request.auth, project).recipes.all(), place)


@router.post(RECIPES, response={201: RecipeOut})
def save_recipe(request: ApiRequest, project: str, body: RecipeIn) -> Recipe:
    """Keep a recipe; one of the same name is replaced. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    with inside("recipe"):
        freeze(project=row, spec=body.recipe)  # refuses a recipe that names what the project does not have
    return recipes.save_recipe(project=row, name=body.name, spec=body.recipe, author=request.auth)


@router.get(RECIPE, response=RecipeOut)
def get_recipe(request: ApiRequest, project: str, recipe: int) -> Recipe:
    """One recipe."""
    return get_object_or_404(project_for(request.auth, project).recipes, pk=recipe)


@router.delete(RECIPE, response={204: None})
def delete_recipe(request: ApiRequest, project: str, recipe: int) -> None:
    """Runs that were launched from it keep what it said. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    recipes.delete_recipe(recipe=get_object_or_404(row.recipes, pk=recipe), user=request.auth)


# -- as texts -----------------------------------------------------------------------------------------------------------


@router.get(RECIPE + "/yaml", openapi_extra=YAML)
def get_recipe_as_yaml(request: ApiRequest, project: str, recipe: int) -> HttpResponse:
    """A recipe with names in place of ids, so that it can go to another project."""
    row = project_for(request.auth, project)
    spec = RecipeSpec.model_validate(get_object_or_404(row.recipes, pk=recipe).spec)
    return _text(write_yaml(spec, freeze(project=row, spec=spec)))


@router.get(PROJECT + "/runs/{int:run}/recipe", openapi_extra=YAML)
def get_run_as_yaml(request: ApiRequest, project: str, run: int) -> HttpResponse:
    """The recipe of a run, in the names that held when it was launched."""
    row = get_object_or_404(project_for(request.auth, project).runs, pk=run)
    return _text(write_yaml(RecipeSpec.model_validate(row.spec), Frozen.model_validate(row.frozen)))


@router.post(RECIPES + "/read", response=ReadOut)
def read_recipe(request: ApiRequest, project: str, body: TextIn) -> dict[str, Any]:
    """The recipe that a text in YAML describes, in the names of this project. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    return {"recipe": read_yaml(project=row, text=body.text), "notes": []}


@router.post(RECIPES + "/read-config", response=ReadOut)
def read_config(request: ApiRequest, project: str, body: ConfigIn) -> dict[str, Any]:
    """The recipe that a config file of the AfterImage library describes; its prompt is kept in the project. Needs the
    role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    corpus = named(row.corpora, body.corpus, "corpus") if body.corpus else None
    endpoint = named(row.endpoints, body.endpoint, "endpoint") if body.endpoint else None
    try:
        pasted = pasted_recipe(project=row, text=body.config, corpus=corpus, endpoint=endpoint, actor=request.auth)
    except Refused as refusal:
        field = refusal.field if refusal.field in ("corpus", "endpoint") else "config"
        raise Refused(str(refusal), field=field) from refusal
    return {"recipe": pasted.spec, "notes": pasted.notes}


def _text(text: str) -> HttpResponse:
    return HttpResponse(text, content_type="application/yaml; charset=utf-8")
