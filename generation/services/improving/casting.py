"""Who speaks in an improvement: the models that were chosen, or those of the run that made each conversation."""

from __future__ import annotations

from collections.abc import Iterable

from datasets.models import Batch, Project
from datasets.services.errors import Refused
from generation.adapters.mending import judging_of
from generation.casts import Cast, Casts
from generation.engine.mending import Mending
from generation.engine.protocols import ModelRole
from generation.engine.recipe import ModelChoice, Recipe
from generation.frozen import FrozenModel
from generation.models import Run
from generation.services.running.freezing import frozen_model

UNSPOKEN: tuple[ModelRole, ...] = ("correspondent", "judge")


def cast_batches(*, project: Project, wanted: Mending, batches: Iterable[int]) -> Casts:
    """Raises Refused, naming the field, when a role has nobody to speak it."""
    runs = {run.batch_id: run for run in Run.objects.filter(project=project, batch__in=batches).defer("frozen")}
    known: dict[str, int] = {}
    casts: list[Cast] = []
    of_batch: dict[int, int] = {}
    for batch in sorted(set(batches)):
        choices = _choices(project, wanted, batch, runs.get(batch))
        key = repr(sorted((role, choice.model_dump_json()) for role, choice in choices.items()))
        if key not in known:
            known[key] = len(casts)
            casts.append(Cast(choices=choices, models=_models(project, choices)))
        of_batch[batch] = known[key]
    return Casts(casts=tuple(casts), of_batch=of_batch)


def _choices(project: Project, wanted: Mending, batch: int, run: Run | None) -> dict[ModelRole, ModelChoice]:
    spec = Recipe.model_validate(run.spec) if run else None
    chosen = {**(spec.models if spec else {}), **wanted.models}
    if "respondent" in chosen:  # who speaks for the roles that a run had no use for
        for other in UNSPOKEN:
            chosen.setdefault(other, chosen["respondent"])
    roles: list[ModelRole] = ["respondent", "correspondent"]
    if wanted.judge and judging_of(spec).asks_model:
        roles.append("judge")
    if missing := [role for role in roles if role not in chosen]:
        name = Batch.objects.values_list("name", flat=True).get(pk=batch)
        what = f"No run of this project made the conversations of “{name}”: choose who speaks as {missing[0]}."
        raise Refused(what, field="endpoint")
    if wanted.judge and spec:
        _check_embedding(project, spec, batch)
    return {role: chosen[role] for role in roles}


def _check_embedding(project: Project, spec: Recipe, batch: int) -> None:
    embedding = judging_of(spec).embedding
    if embedding and not project.endpoints.filter(pk=embedding.endpoint).exists():
        name = Batch.objects.values_list("name", flat=True).get(pk=batch)
        raise Refused(f"The embedding endpoint that judged “{name}” is gone: improve without a judge.", field="judge")


def _models(project: Project, choices: dict[ModelRole, ModelChoice]) -> dict[ModelRole, FrozenModel]:
    try:
        return {role: frozen_model(project, role, choice) for role, choice in choices.items()}
    except Refused as refusal:
        raise Refused(str(refusal), field="endpoint") from refusal
