"""Runs: launched from a recipe, watched, steered."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema
from pydantic import ConfigDict, StringConstraints

from datasets.access import project_for
from datasets.api.shapes import PROJECT, ApiRequest, Body, Page, Place, Storable, enqueue, inside, one_of, page_of
from datasets.models import Role
from generation.engine.estimate import Estimate
from generation.engine.protocols import ModelRole
from generation.engine.recipe import Budget, Recipe
from generation.models import Run
from generation.services.running import runs
from generation.services.running.estimating import estimate_recipe
from generation.services.running.progress import Progress, progress_of
from generation.tasks import call_for_workers

router = Router(tags=["Runs"])

RUNS = PROJECT + "/runs"
RUN = RUNS + "/{int:run}"

ACTIONS = {"pause": runs.pause_run, "resume": runs.resume_run, "cancel": runs.cancel_run, "retry": runs.retry_failed}

EXAMPLE: dict[str, Any] = {
    "corpus": 1,
    "respondent_prompt": 1,
    "personas": [1, 2],
    "models": {role: {"endpoint": 1} for role in ("instruction", "correspondent", "respondent")},
    "conversations": 200,
    "max_turns": 3,
    "concurrency": 16,
    "seed": 7,
    "budget": {"tokens": 2_000_000},
}


class Launch(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Handbook, first try", "recipe": EXAMPLE}]})

    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=120), Storable] = Field(
        "", description="Left out: named after the corpus and the time."
    )
    recipe: Recipe


class EstimateIn(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"recipe": EXAMPLE}]})

    recipe: Recipe


class RoleEstimateOut(Schema):
    calls: float
    prompt_tokens: float
    completion_tokens: float
    cost: Decimal


class EstimateOut(Schema):
    """Of the models that speak: embeddings come on top."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal = Field(description="By the prices of the endpoints; 0 where none is set.")
    seconds: float
    roles: dict[ModelRole, RoleEstimateOut]


class RunOut(Schema):
    id: int
    name: str
    state: str = Field(json_schema_extra=one_of(Run.State.values))
    reason: str = Field(description="Why the run stopped or failed, in a sentence.")
    offline: bool = Field(description="Whether the offline model speaks in any role.")
    corpus: int | None = Field(alias="corpus_id")
    batch: int = Field(alias="batch_id", description="What the filter of the conversations takes.")
    conversations: int = Field(alias="slots_total", description="Promised: exactly so many are made, or named failed.")
    done: int = Field(alias="slots_done")
    failed: int = Field(alias="slots_failed")
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal
    created: datetime
    started: datetime | None
    finished: datetime | None


class ErrorOut(Schema):
    """Failures of one kind, with the latest one's own words."""

    error: str
    count: int
    waiting: int = Field(description="How many of them will be tried again by themselves.")
    last: datetime


class ProgressOut(Schema):
    waiting: int
    running: int
    done: int
    failed: int
    cancelled: int
    rate: float = Field(description="Conversations a minute, over the last minute.")
    calls_per_second: float
    seconds_left: float | None
    seconds_elapsed: float | None
    acceptance: float | None = Field(description="Share of approved conversations among those decided on.")
    errors: list[ErrorOut]
    silence: int | None = Field(description="Seconds since a worker was heard, when that is too long; 0: never yet.")

    @staticmethod
    def resolve_silence(progress: Progress) -> int | None:
        return progress.heard.silence

    @staticmethod
    def resolve_seconds_left(progress: Progress) -> float | None:
        return progress.eta.total_seconds() if progress.eta else None

    @staticmethod
    def resolve_seconds_elapsed(progress: Progress) -> float | None:
        return progress.elapsed.total_seconds() if progress.elapsed else None


class RunDetail(RunOut):
    recipe: Recipe = Field(alias="spec")
    progress: ProgressOut

    @staticmethod
    def resolve_progress(run: Run) -> Progress:
        return progress_of(run)


@router.get(RUNS, response=Page[RunOut])
def list_runs(request: ApiRequest, project: str, place: Query[Place]) -> dict[str, Any]:
    """The runs of a project, newest first."""
    return page_of(project_for(request.auth, project).runs.all(), place, newest_first=True)


@router.post(RUNS, response={201: RunDetail})
def launch_run(request: ApiRequest, project: str, body: Launch) -> Run:
    """Launch a recipe: its ids are rows of this project. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    with inside("recipe"):
        run = runs.start_run(project=row, spec=body.recipe, user=request.auth, name=body.name)
    enqueue(call_for_workers, run)
    return run


@router.post(RUNS + "/estimate", response=EstimateOut)
def estimate_run(request: ApiRequest, project: str, body: EstimateIn) -> Estimate:
    """What a recipe will take: calls, tokens, money and time. Nothing is launched. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    with inside("recipe"):
        return estimate_recipe(project=row, spec=body.recipe)


@router.get(RUN, response=RunDetail)
def get_run(request: ApiRequest, project: str, run: int) -> Run:
    """One run: its recipe, where it stands, and what went wrong."""
    return get_object_or_404(project_for(request.auth, project).runs, pk=run)


@router.put(RUN + "/budget", response=RunDetail)
def set_run_budget(request: ApiRequest, project: str, run: int, body: Budget) -> Run:
    """Another limit for a run, also while it runs; null is none. Needs the role of curator."""
    row = get_object_or_404(project_for(request.auth, project, Role.CURATOR).runs, pk=run)
    runs.change_budget(run=row, user=request.auth, budget=body)
    return row


@router.post(RUN + "/{action}", response=RunDetail)
def steer_run(
    request: ApiRequest, project: str, run: int, action: Literal["pause", "resume", "cancel", "retry"]
) -> Run:
    """`pause`: nothing new begins, `resume`: go on, `cancel`: stop for good, `retry`: make the failed ones again.

    What is so already stays so. Needs the role of curator.
    """
    row = get_object_or_404(project_for(request.auth, project, Role.CURATOR).runs, pk=run)
    ACTIONS[action](run=row, user=request.auth)
    if row.is_active:
        enqueue(call_for_workers, row)
    return row
