"""Recipes that are kept under a name."""

from __future__ import annotations

from django.db import transaction

from datasets.models import Project, User
from datasets.services.activity import record_activity
from generation.engine.recipe import Recipe as RecipeSpec
from generation.models import Recipe


@transaction.atomic
def save_recipe(*, project: Project, name: str, spec: RecipeSpec, author: User | None) -> Recipe:
    """A recipe of that name is replaced: runs that were launched from it keep their own frozen copy."""
    recipe, _ = Recipe.objects.update_or_create(
        project=project, name=name.strip()[:100], defaults={"spec": spec.model_dump(mode="json"), "author": author}
    )
    record_activity(project=project, actor=author, text=f"saved the recipe “{recipe.name}”", path="runs/new/")
    return recipe


@transaction.atomic
def delete_recipe(*, recipe: Recipe, user: User) -> None:
    record_activity(project=recipe.project, actor=user, text=f"deleted the recipe “{recipe.name}”", path="runs/new/")
    recipe.delete()
