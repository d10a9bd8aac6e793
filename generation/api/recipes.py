"""Recipes: whole configurations of a run, kept under a name."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ninja import Field, Query, Router, Schema

from datasets.access import project_for
from datasets.api.shapes import PROJECT, ApiRequest, Body, Line, Page, Place, inside, page_of
from datasets.models import Role
from generation.engine.recipe import Recipe as RecipeSpec
from generation.models import Recipe
from generation.services import recipes
from generation.services.running.freezing import freeze

router = Router(tags=["Recipes"])

RECIPES = PROJECT + "/recipes"


class RecipeIn(Body):
    name: Line = Field(examples=["Handbook, short"])
    recipe: RecipeSpec


class RecipeOut(Schema):
    id: int
    name: str
    recipe: RecipeSpec = Field(alias="spec")
    created: datetime
    updated: datetime


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
