"""Trials: small pieces of model work that somebody waits for, done by a worker within minutes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema
from pydantic import ConfigDict

from datasets.access import project_for
from datasets.api.shapes import PROJECT, ApiRequest, Body, Id, enqueue, inside, named, one_of
from datasets.models import Project, PromptRole, Role, User
from generation.engine.recipe import Recipe
from generation.models import Trial
from generation.services import trials
from generation.services.running.freezing import freeze
from generation.tasks import run_trial

from .runs import EXAMPLE

router = Router(tags=["Trials"])


class TrialOut(Schema):
    id: int
    kind: str = Field(json_schema_extra=one_of(Trial.Kind.values))
    state: str = Field(
        description="Ask again until it is `done`, or `failed` as `error` says.",
        json_schema_extra=one_of(Trial.State.values),
    )
    result: dict[str, Any] = Field(
        description="Of an endpoint: `chat` and `embedding`, each with its latency in milliseconds. Of a preview: "
        "`attempts`, each a dialog with its trace, and the index of the `best`. Of a draft: its `text`."
    )
    error: str
    created: datetime
    finished: datetime | None


class PreviewIn(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"recipe": EXAMPLE}]})

    recipe: Recipe


class DraftIn(Body):
    endpoint: Id


@router.post(PROJECT + "/endpoints/{int:endpoint}/test", response={201: TrialOut})
def test_endpoint(request: ApiRequest, project: str, endpoint: int) -> Trial:
    """One short call of the chat model, and one of the embedding model if there is one. Needs the role of owner."""
    row = project_for(request.auth, project, Role.OWNER)
    found = get_object_or_404(row.endpoints, pk=endpoint)
    return _begun(row, request.auth, Trial.Kind.ENDPOINT, {"endpoint": found.pk})


@router.post(PROJECT + "/runs/preview", response={201: TrialOut})
def preview_run(request: ApiRequest, project: str, body: PreviewIn) -> Trial:
    """One conversation as the recipe would make it, with every prompt that was sent. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    with inside("recipe"):
        freeze(project=row, spec=body.recipe)  # refuses a recipe that names what the project does not have
    return _begun(row, request.auth, Trial.Kind.PREVIEW, {"recipe": body.recipe.model_dump(mode="json")})


@router.post(PROJECT + "/prompts/{int:prompt}/draft", response={201: TrialOut})
def draft_correspondent_prompt(request: ApiRequest, project: str, prompt: int, body: DraftIn) -> Trial:
    """A prompt of the other side that suits this prompt of a respondent, written by a model; nothing is saved. Needs
    the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    found = get_object_or_404(row.prompts, pk=prompt, role=PromptRole.RESPONDENT)
    endpoint = named(row.endpoints, body.endpoint, "endpoint")
    return _begun(row, request.auth, Trial.Kind.CORRESPONDENT, {"prompt": found.pk, "endpoint": endpoint.pk})


@router.get(PROJECT + "/trials/{int:trial}", response=TrialOut)
def get_trial(request: ApiRequest, project: str, trial: int) -> Trial:
    """What came of a trial. Needs the role of curator."""
    return get_object_or_404(project_for(request.auth, project, Role.CURATOR).trials, pk=trial)


def _begun(project: Project, user: User, kind: Trial.Kind, wanted: dict[str, Any]) -> Trial:
    trial = trials.ask_for(project=project, kind=kind, request=wanted, user=user)
    enqueue(run_trial.delay, trial.pk)
    return trial
