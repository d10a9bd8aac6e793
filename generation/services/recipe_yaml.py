"""Recipes as YAML, for people: rows are named by their names, so that a recipe can go from one project to another."""

from __future__ import annotations

from typing import Any

import yaml
from django.db.models import Model, QuerySet
from pydantic import ValidationError

from datasets.models import Project, PromptRole
from datasets.services.errors import Refused
from generation.engine.recipe import Recipe, Rows, ToolDialogs
from generation.frozen import Frozen, FrozenText
from generation.yamls import NotRead, parse

HEAD = "# A recipe of AfterImage. Its names are those of a project's corpora, prompts, personas and endpoints.\n"


def write_yaml(spec: Recipe, frozen: Frozen) -> str:
    """`frozen` has the names of what `spec` points to. What is left at its default is not said."""
    said = spec.model_dump(mode="json", exclude_defaults=True)
    named: dict[str, Any] = {"corpus": frozen.corpus_name or None}
    for role in PromptRole:
        text: FrozenText | None = getattr(frozen, role)
        if text is not None:
            named[f"{role}_prompt"] = text.name
    if spec.personas:
        named["personas"] = [frozen.personas[pk].name for pk in spec.personas]
    named["models"] = {
        role: choice | {"endpoint": frozen.models[role].endpoint_name} for role, choice in said["models"].items()
    }
    if isinstance(spec.product, ToolDialogs):
        named["product"] = said["product"] | {"tools": [tool.name for tool in frozen.tools]}
    if isinstance(spec.product, Rows):
        named["product"] = said["product"] | {"form": spec.product.form}
    return HEAD + yaml.safe_dump(named | {key: said[key] for key in said if key not in named}, **STYLE)


STYLE: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 120}


def read_yaml(*, project: Project, text: str) -> Recipe:
    """The recipe that a text describes, in the names of `project`. Refused, in one sentence, when it describes none."""
    said = _parsed(text)
    for key in ("corpus", *(f"{role}_prompt" for role in PromptRole)):
        if said.get(key) is not None:
            said[key] = _pk(_rows(project, key), said[key], key)
    if isinstance(said.get("personas"), list):
        said["personas"] = [_pk(_rows(project, "personas"), name, "persona") for name in said["personas"]]
    if isinstance(said.get("models"), dict):
        said["models"] = {role: _choice(project, choice) for role, choice in said["models"].items()}
    if isinstance(said.get("product"), dict):
        said["product"] = _product(project, said["product"])
    try:
        recipe = Recipe.model_validate(said)
    except ValidationError as error:
        raise Refused(_sentence(error), field="text") from error
    if recipe.idle:
        raise Refused(recipe.idle, field="text")
    return recipe


def _parsed(text: str) -> dict[str, Any]:
    try:
        said = parse(text)
    except NotRead as error:
        raise Refused(str(error), field="text") from error
    if not isinstance(said, dict):
        raise Refused("A recipe has lines such as “conversations: 20”: this has none.", field="text")
    return {str(key): value for key, value in said.items()}


def _rows(project: Project, key: str) -> QuerySet[Any]:
    prompts = project.prompts.filter(archived=False)
    return {
        "corpus": project.corpora.all(),
        "personas": project.personas.usable(),
        "endpoint": project.endpoints.all(),
        "tools": project.tools.filter(archived=False),
        **{f"{role}_prompt": prompts.filter(role=role) for role in PromptRole},
    }[key]


def _choice(project: Project, choice: Any) -> Any:
    if not isinstance(choice, dict) or "endpoint" not in choice:
        return choice
    return choice | {"endpoint": _pk(_rows(project, "endpoint"), choice["endpoint"], "endpoint")}


def _product(project: Project, product: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(product.get("tools"), list):
        return product
    return product | {"tools": [_pk(_rows(project, "tools"), name, "tool") for name in product["tools"]]}


def _pk(rows: QuerySet[Any], name: Any, what: str) -> int:
    """A name may look like a number; anything else that YAML can build is none."""
    kind = what.replace("_", " ")
    if not isinstance(name, str | int | float):
        raise Refused(f"A {kind} is named by its name: write it as one word or sentence.", field="text")
    row: Model | None = rows.filter(name=str(name)).first()
    if row is None:
        raise Refused(f"There is no {kind} named “{str(name)[:100]}” in this project.", field="text")
    return row.pk


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"“{where}” is not part of a recipe: check its spelling, or leave it out."
    if first["type"] == "missing":
        return f"“{where}” is missing."
    said = first["msg"].removeprefix("Value error, ").removesuffix(".")
    return f"“{where}”: {said}." if where else f"{said}."
