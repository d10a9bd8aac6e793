"""Recipes as YAML, for people: rows are named by their names, so that a recipe can go from one project to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml
from django.db.models import Model, QuerySet
from pydantic import ValidationError

from datasets.models import Corpus, Document, Persona, Project, PromptRole
from datasets.services.errors import Refused
from generation.engine.recipe import Pairs, Product, Recipe, Rows, ToolDialogs, corpora_of
from generation.frozen import Frozen, FrozenText
from generation.yamls import NotRead, parse

HEAD = "# A recipe of AfterImage. Its names are those of a project's corpora, prompts, personas and endpoints.\n"


def write_yaml(spec: Recipe, frozen: Frozen) -> str:
    """`frozen` has the names of what `spec` points to; personas have those of today, and are left out where they are gone.
    What is left at its default is not said.
    """
    said = spec.model_dump(mode="json", exclude_defaults=True)
    named: dict[str, Any] = {"corpus": frozen.corpus_name or None}
    for role in PromptRole:
        text: FrozenText | None = getattr(frozen, role)
        if text is not None:
            named[f"{role}_prompt"] = text.name
    if spec.personas:
        named["personas"] = _names(spec, frozen)
    if spec.persona_groups:
        titles = dict(_documents_of(spec).values_list("pk", "title"))
        named["persona_groups"] = [_with_title(group, titles) for group in said["persona_groups"]]
    named["models"] = {
        role: choice | {"endpoint": frozen.models[role].endpoint_name} for role, choice in said["models"].items()
    }
    if spec.judge and isinstance(said.get("judge"), dict):
        named["judge"] = _judge_with_names(said["judge"], frozen)
    if "retriever" in said.get("retrieval", {}):
        names = dict(Corpus.objects.filter(pk__in=corpora_of(spec.retrieval.retriever)).values_list("pk", "name"))
        retriever = _with_corpora(said["retrieval"]["retriever"], lambda pk: names.get(pk, ""))
        named["retrieval"] = said["retrieval"] | {"retriever": retriever}
    if "product" in said:
        named["product"] = said["product"] | _product_with_names(spec.product, said["product"], frozen)
    return HEAD + yaml.safe_dump(named | {key: said[key] for key in said if key not in named}, **STYLE)


def _product_with_names(product: Product, said: dict[str, Any], frozen: Frozen) -> dict[str, Any]:
    match product:
        case ToolDialogs():
            return {"tools": [tool.name for tool in frozen.tools]}
        case Rows():
            return {"form": product.form}
        case Pairs() if product.second and frozen.second:
            return {"second": said["second"] | {"endpoint": frozen.second.endpoint_name}}
        case _:
            return {}


def _with_corpora(retriever: Any, rename: Callable[[Any], Any]) -> Any:
    """A retriever as data, with the corpora in it, however deep, called otherwise."""
    if isinstance(retriever, list):
        return [_with_corpora(one, rename) for one in retriever]
    if not isinstance(retriever, dict):
        return retriever
    inner = {key: _with_corpora(retriever[key], rename) for key in INSIDE if key in retriever}
    if retriever.get("kind") == "corpus" and retriever.get("corpus") is not None:
        inner["corpus"] = rename(retriever["corpus"])
    return retriever | inner


def _judge_with_names(judge: dict[str, Any], frozen: Frozen) -> dict[str, Any]:
    named: dict[str, Any] = {}
    if frozen.embedding and "embedding" in judge:
        named["embedding"] = judge["embedding"] | {"endpoint": frozen.embedding.endpoint_name}
    if "criteria" in judge:
        named["criteria"] = [criterion.name for criterion in frozen.criteria]
    return judge | named


def _names(spec: Recipe, frozen: Frozen) -> list[str]:
    copied = {pk: persona.name for pk, persona in frozen.personas.items()}
    names = copied | dict(Persona.objects.filter(pk__in=spec.personas).values_list("pk", "name"))
    return [names[pk] for pk in spec.personas if pk in names]


def _documents_of(spec: Recipe) -> QuerySet[Document]:
    return Document.objects.filter(pk__in={group.document for group in spec.persona_groups})


def _with_title(group: dict[str, Any], titles: dict[int, str]) -> dict[str, Any]:
    return group | {"document": titles.get(group["document"], "")} if "document" in group else group


INSIDE = ("retrievers", "members", "retriever")
"""What a retriever has other retrievers in."""
STYLE: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 120}


def read_yaml(*, project: Project, text: str) -> Recipe:
    """The recipe that a text describes, in the names of `project`. Refused, in one sentence, when it describes none."""
    said = _parsed(text)
    for key in ("corpus", *(f"{role}_prompt" for role in PromptRole)):
        if said.get(key) is not None:
            said[key] = _pk(_rows(project, key), said[key], key)
    if isinstance(said.get("personas"), list):
        said["personas"] = _people(project, said["personas"])
    if isinstance(said.get("persona_groups"), list):
        said["persona_groups"] = [_group(project, group) for group in said["persona_groups"]]
    if isinstance(said.get("models"), dict):
        said["models"] = {role: _choice(project, choice) for role, choice in said["models"].items()}
    if isinstance(said.get("retrieval"), dict) and "retriever" in said["retrieval"]:
        retriever = _with_corpora(
            said["retrieval"]["retriever"], lambda name: _pk(_rows(project, "corpus"), name, "corpus")
        )
        said["retrieval"] = said["retrieval"] | {"retriever": retriever}
    if isinstance(said.get("judge"), dict):
        said["judge"] = _judge(project, said["judge"])
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
        "endpoint": project.endpoints.all(),
        "tools": project.tools.filter(archived=False),
        **{f"{role}_prompt": prompts.filter(role=role) for role in PromptRole},
    }[key]


def _choice(project: Project, choice: Any) -> Any:
    if not isinstance(choice, dict) or "endpoint" not in choice:
        return choice
    return choice | {"endpoint": _pk(_rows(project, "endpoint"), choice["endpoint"], "endpoint")}


def _judge(project: Project, judge: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "embedding" in judge:
        found["embedding"] = _choice(project, judge["embedding"])
    if isinstance(judge.get("criteria"), list):
        found["criteria"] = [_pk(project.criteria.usable(), name, "criterion") for name in judge["criteria"]]
    return judge | found


def _people(project: Project, names: list[Any]) -> list[int]:
    """In one query, however many they are."""
    said = [name for name in names if isinstance(name, str | int | float)]
    known = dict(project.personas.usable().filter(name__in=map(str, said)).values_list("name", "pk"))
    nobody = project.personas.none()
    return [known.get(str(name)) or _pk(nobody, name, "persona") for name in names]


def _group(project: Project, group: Any) -> Any:
    """A group names its document by the title, which then has to be that of one document."""
    if not isinstance(group, dict) or group.get("document") is None:
        return group
    found = Document.objects.filter(corpus__project=project, title=str(group["document"]))[:2].values_list(
        "pk", flat=True
    )
    if len(found) != 1:
        many = "Several documents are" if found else "There is no document"
        raise Refused(f"{many} titled “{str(group['document'])[:100]}” in this project.", field="text")
    return group | {"document": found[0]}


def _product(project: Project, product: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(product.get("tools"), list):
        found["tools"] = [_pk(_rows(project, "tools"), name, "tool") for name in product["tools"]]
    if "second" in product:
        found["second"] = _choice(project, product["second"])
    return product | found


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
