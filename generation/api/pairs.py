"""Preference pairs: how those of a run turned out, and each of them."""

from __future__ import annotations

from typing import Any, Literal

from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema

from datasets.access import project_for
from datasets.api.shapes import PROJECT, ApiRequest, Page, Place
from datasets.services.errors import Refused
from generation.engine.recipe import Pairs
from generation.models import Run
from generation.services.running import pairs

router = Router(tags=["Runs"])

PAIRS = PROJECT + "/runs/{int:run}/pairs"


class PairsPlace(Place):
    only: Literal["", "valid", "discarded"] = Field(
        "", description="Conversations that make a pair, or those that do not."
    )


class AnswerOut(Schema):
    version: int = Field(description="Of the conversation, by its number.")
    label: str = Field(description="How it was made, for example `temperature_0.10`.")
    text: str
    score: float | None = Field(description="Null where its judge failed.")
    error: str = Field(description="Why there is no score.")


class PairOut(Schema):
    id: int = Field(alias="conversation.pk", description="Of the conversation.")
    question: str
    valid: bool = Field(description="Whether the best and the worst answer are far enough apart.")
    gap: float | None = Field(description="Null where fewer than two answers have a score.")
    answers: list[AnswerOut] = Field(description="The best first.")


class PairsReportOut(Schema):
    gap: float = Field(description="By how much the better answer must be scored higher, as the recipe says.")
    attempted: int = Field(description="Conversations made so far.")
    valid: int = Field(description="Those that make a pair.")
    discarded: int = Field(description="Those that make none; they are kept all the same.")
    discard_rate: float
    chosen: float | None = Field(description="Mean score of the better answers; null where there is no pair.")
    rejected: float | None
    mean_gap: float | None
    labels: dict[str, int] = Field(description="How often an answer of each kind was the better one.")
    warnings: list[str]


@router.get(PAIRS, response=Page[PairOut])
def list_pairs(request: ApiRequest, project: str, run: int, place: Query[PairsPlace]) -> dict[str, Any]:
    """The conversations of a run of preference pairs with all their answers, newest first."""
    row, product = _run_of_pairs(request, project, run)
    page = pairs.page_of_pairs(row, product, place.only, after=place.cursor, size=place.limit)
    return {"items": [pairs.pair_of(one, one.alternatives, product) for one in page.rows], "next": page.after}


@router.get(PAIRS + "/report", response=PairsReportOut)
def get_pairs_report(request: ApiRequest, project: str, run: int) -> pairs.Report:
    """How the preference pairs of a run have turned out so far: counted, with means and warnings."""
    return pairs.report_of(*_run_of_pairs(request, project, run))


def _run_of_pairs(request: ApiRequest, project: str, run: int) -> tuple[Run, Pairs]:
    rows = project_for(request.auth, project).runs.select_related("batch", "project")
    row = get_object_or_404(rows, pk=run)
    product = pairs.product_of(row)
    if product is None:
        raise Refused("This run makes no preference pairs: ask for one whose recipe has the product “pairs”.")
    return row, product
