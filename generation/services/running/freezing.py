"""From a recipe's ids to the texts, names and prices that they mean now, all of the same project."""

from __future__ import annotations

from collections.abc import Iterable

from datasets.models import Project, Prompt, PromptRole
from datasets.schema import ToolSpec
from datasets.services.errors import Refused
from generation import extensions
from generation.engine import forms, rules
from generation.engine.recipe import ModelChoice, Pairs, Recipe, ToolDialogs, corpora_of, custom_retrievers_of
from generation.frozen import Frozen, FrozenCriterion, FrozenModel, FrozenText
from generation.models import CorpusEmbedding, Endpoint
from generation.services.running import persona_pool


def freeze(*, project: Project, spec: Recipe) -> Frozen:
    """Raises Refused, naming the field, when an id is not of this project or a part of the recipe would do nothing."""
    if spec.idle:
        raise Refused(spec.idle, field="improve")
    _check_extensions(spec)
    persona_pool.check(project=project, spec=spec)
    return Frozen(
        corpus_name=_corpus_name(project, spec),
        respondent=_prompt(project, spec.respondent_prompt, PromptRole.RESPONDENT),
        correspondent=_optional_prompt(project, spec.correspondent_prompt, PromptRole.CORRESPONDENT),
        instruction=_optional_prompt(project, spec.instruction_prompt, PromptRole.INSTRUCTION),
        models={role: frozen_model(project, role, choice) for role, choice in spec.models.items()},
        second=_second(project, spec),
        embedding=_embedding(project, spec),
        searched_by=_searched_by(project, spec),
        criteria=_criteria(project, spec),
        tools=_tools(project, spec),
    )


def embedders(*, project: Project, spec: Recipe) -> tuple[FrozenModel, ...]:
    """What turns texts into vectors in a run of the recipe. Raises Refused as `freeze` does."""
    judging = _embedding(project, spec)
    return (*_searched_by(project, spec), judging) if judging else _searched_by(project, spec)


def _tools(project: Project, spec: Recipe) -> tuple[ToolSpec, ...]:
    wanted = spec.product.tools if isinstance(spec.product, ToolDialogs) else ()
    rows = project.tools.in_bulk(wanted)
    if len(rows) != len(set(wanted)):
        raise Refused("One of those tools is not in this project: choose again.", field="tools")
    for row in rows.values():
        try:
            forms.checked(row.parameters)
        except ValueError as error:
            raise Refused(f"The tool “{row.name}” cannot be used. {error}", field="tools") from error
    return tuple(rows[pk].spec for pk in dict.fromkeys(wanted))


def _check_extensions(spec: Recipe) -> None:
    """Whether the installation has what the recipe names of it."""
    writer = [spec.questions.writer] if spec.questions.writer else []
    named: list[tuple[extensions.Kind, Iterable[str]]] = [
        ("instructions", [one.name for one in writer]),
        ("hooks", [one.name for one in spec.hooks]),
        ("sinks", [one.name for one in spec.sinks]),
        ("evaluators", [one.name for one in spec.judge.others] if spec.judge else []),
        ("retrievers", custom_retrievers_of(spec.retrieval.retriever)),
        ("stopping", [rule.name for rule in rules.each(spec.stopping) if isinstance(rule, rules.Custom)]),
    ]
    for kind, wanted in named:
        for name in wanted:
            if name not in extensions.names(kind):
                raise Refused(extensions.unknown(kind, name), field="more")


def _second(project: Project, spec: Recipe) -> FrozenModel | None:
    chosen = spec.product.second if isinstance(spec.product, Pairs) else None
    return frozen_model(project, "second model", chosen) if chosen else None


def _embedding(project: Project, spec: Recipe) -> FrozenModel | None:
    chosen = spec.judge.embedding if spec.judge else None
    if chosen is None:
        return None
    endpoint = project.endpoints.filter(pk=chosen.endpoint).first()
    if endpoint is None or endpoint.is_offline:
        raise Refused("That endpoint has no embedding model: choose another to judge by.", field="embedding_endpoint")
    model = chosen.model or endpoint.embedding_model
    if not model:
        what = f"Name an embedding model to judge by: “{endpoint}” has no default one."
        raise Refused(what, field="embedding_endpoint")
    return _embedder(endpoint, model)


def _searched_by(project: Project, spec: Recipe) -> tuple[FrozenModel, ...]:
    rows = CorpusEmbedding.objects.filter(corpus__in=spec.searched, corpus__project=project)
    named = {(row.endpoint_id, row.model): row.endpoint for row in rows.select_related("endpoint").order_by("pk")}
    return tuple(_embedder(endpoint, model) for (_, model), endpoint in named.items())


def _embedder(endpoint: Endpoint, model: str) -> FrozenModel:
    price, _ = endpoint.price_of(model)
    return FrozenModel(endpoint=endpoint.pk, endpoint_name=endpoint.name, model=model, prompt_price=price)


def _criteria(project: Project, spec: Recipe) -> tuple[FrozenCriterion, ...]:
    wanted = spec.judge.criteria if spec.judge else ()
    rows = project.criteria.in_bulk(wanted)
    if len(rows) != len(set(wanted)):
        raise Refused("One of those criteria is not in this project: choose again.", field="criteria")
    return tuple(
        FrozenCriterion(
            id=row.pk,
            name=row.name,
            description=row.description,
            weight=row.weight,
            needs_passages=row.needs_passages,
        )
        for row in (rows[pk] for pk in wanted)
    )


def _corpus_name(project: Project, spec: Recipe) -> str:
    others = corpora_of(spec.retrieval.retriever)
    if project.corpora.filter(pk__in=others).count() != len(others):
        raise Refused("A corpus that is retrieved from is not in this project: choose another.", field="more")
    if spec.corpus is None:
        return ""
    name = project.corpora.filter(pk=spec.corpus).values_list("name", flat=True).first()
    if name is None:
        raise Refused("That corpus is not in this project: choose another.", field="corpus")
    return name


def _prompt(project: Project, pk: int, role: PromptRole) -> FrozenText:
    prompt: Prompt | None = project.prompts.select_related("current").filter(pk=pk, role=role).first()
    if prompt is None or prompt.current is None:
        raise Refused(f"That {role} prompt is not in this project: choose another.", field=f"{role}_prompt")
    return FrozenText(id=prompt.pk, name=prompt.name, version=prompt.current.number, text=prompt.current.text)


def _optional_prompt(project: Project, pk: int | None, role: PromptRole) -> FrozenText | None:
    return None if pk is None else _prompt(project, pk, role)


def frozen_model(project: Project, role: str, choice: ModelChoice) -> FrozenModel:
    """A choice with the name and prices that it has now. Raises Refused when its endpoint is not of this project."""
    endpoint: Endpoint | None = project.endpoints.filter(pk=choice.endpoint).first()
    if endpoint is None:
        raise Refused(f"The endpoint for the {role} is not in this project: choose another.", field="models")
    model = choice.model or endpoint.chat_model
    if not model:
        raise Refused(f"Name a model for the {role}: “{endpoint}” has no default one.", field="models")
    prompt_price, completion_price = endpoint.price_of(model)
    return FrozenModel(
        endpoint=endpoint.pk,
        endpoint_name=endpoint.name,
        model=model,
        offline=endpoint.is_offline,
        prompt_price=prompt_price,
        completion_price=completion_price,
    )
