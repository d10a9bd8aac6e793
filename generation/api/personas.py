"""Growing personas from documents: estimated, begun, watched, steered."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema

from datasets.access import project_for
from datasets.api.shapes import PROJECT, ApiRequest, Body, Id, Page, Place, Storable, enqueue, named, one_of, page_of
from datasets.models import Project, Role
from generation.models import PersonaGrowth
from generation.services.growing import growths
from generation.services.growing.growths import Estimate, Order
from generation.services.growing.progress import Progress, progress_of
from generation.tasks import call_for_workers

router = Router(tags=["Personas"])

GROWTHS = PROJECT + "/persona-growths"
GROWTH = GROWTHS + "/{int:growth}"

ACTIONS = {
    "cancel": growths.cancel_growth,
    "resume": growths.resume_growth,
    "retry": growths.retry_growth,
}


class GrowthIn(Body):
    corpus: Id
    documents: list[Id] = Field([], max_length=10_000, description="Documents of the corpus; left out: all of them.")
    titles: Annotated[str, Storable] = Field(
        "", max_length=200, description="Only those with these words in the title."
    )
    most: int | None = Field(None, ge=1, description="So many at most, those with the fewest personas first.")
    depth: int | None = Field(
        None, ge=0, le=4, description="The deepest layer: 0 is five a document. Left out: as `conversations` need."
    )
    conversations: int | None = Field(None, ge=1, description="How many conversations they are for.")
    endpoint: Id
    model: Annotated[str, Storable] = Field("", max_length=150, description="Left out: the endpoint's own.")
    concurrency: int = Field(8, ge=1, le=64)


class GrowthEstimateOut(Schema):
    documents: int
    depth: int
    calls: int = Field(description="D·(5^(n+1)−1)/4, when no reply has to be asked for twice.")
    personas: int
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal = Field(description="By the prices of the endpoint; 0 where none is set.")
    seconds: float


class GrowthOut(Schema):
    id: int
    corpus: int | None = Field(alias="corpus_id")
    documents: int
    depth: int
    model: str
    offline: bool
    state: str = Field(json_schema_extra=one_of(PersonaGrowth.State.values))
    reason: str = Field(description="Why it failed or ended early, in a sentence.")
    personas: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal
    created: datetime
    finished: datetime | None


class GrowthErrorOut(Schema):
    error: str
    count: int
    waiting: int = Field(description="How many of them will be tried again by themselves.")
    last: datetime


class GrowthProgressOut(Schema):
    """Steps of five personas each."""

    waiting: int
    running: int
    done: int
    failed: int
    to_review: int = Field(description="Personas of these documents that nobody has decided on.")
    errors: list[GrowthErrorOut]


class GrowthDetail(GrowthOut):
    progress: GrowthProgressOut

    @staticmethod
    def resolve_progress(growth: PersonaGrowth) -> Progress:
        return progress_of(growth)


def _order(project: Project, body: GrowthIn) -> Order:
    said = body.dict(exclude={"corpus", "endpoint", "documents"})
    corpus = named(project.corpora, body.corpus, "corpus")
    endpoint = named(project.endpoints, body.endpoint, "endpoint")
    return Order(corpus=corpus, endpoint=endpoint, chosen=body.documents, **said)


@router.get(GROWTHS, response=Page[GrowthOut])
def list_persona_growths(request: ApiRequest, project: str, place: Query[Place]) -> dict[str, Any]:
    """The growths of a project, newest first."""
    return page_of(project_for(request.auth, project).persona_growths.all(), place, newest_first=True)


@router.post(GROWTHS, response={201: GrowthDetail})
def grow_personas_from_documents(request: ApiRequest, project: str, body: GrowthIn) -> PersonaGrowth:
    """Have five personas written from each document, and five more from each of those, layer by layer.

    They wait for review: no run uses one before it is accepted. Needs the role of curator.
    """
    row = project_for(request.auth, project, Role.CURATOR)
    growth = growths.start_growth(project=row, order=_order(row, body), user=request.auth)
    enqueue(call_for_workers, growth)
    return growth


@router.post(GROWTHS + "/estimate", response=GrowthEstimateOut)
def estimate_persona_growth(request: ApiRequest, project: str, body: GrowthIn) -> Estimate:
    """What it will take: calls, personas, tokens, money and time. Nothing is begun. Needs the role of curator."""
    row = project_for(request.auth, project, Role.CURATOR)
    return growths.estimate_growth(_order(row, body))


@router.get(GROWTH, response=GrowthDetail)
def get_persona_growth(request: ApiRequest, project: str, growth: int) -> PersonaGrowth:
    """One growth: where it stands, and what went wrong."""
    return get_object_or_404(project_for(request.auth, project).persona_growths, pk=growth)


@router.post(GROWTH + "/{step}", response=GrowthDetail)
def steer_persona_growth(
    request: ApiRequest, project: str, growth: int, step: Literal["cancel", "resume", "retry"]
) -> PersonaGrowth:
    """`cancel`: stop for good, `resume`: go on after an error, `retry`: try what failed again.

    What is so already stays so. Needs the role of curator.
    """
    row = get_object_or_404(project_for(request.auth, project, Role.CURATOR).persona_growths, pk=growth)
    ACTIONS[step](growth=row, user=request.auth)
    if row.is_active:
        enqueue(call_for_workers, row)
    return row
