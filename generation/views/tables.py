"""The rows of a run as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from datasets.access import project_view
from datasets.forms.conversations import PlaceForm
from datasets.keyset import keyset
from datasets.models import Conversation, Project
from datasets.models.conversations import ConversationQuerySet
from datasets.pages import HtmxHttpRequest, render_page
from datasets.presenters.cells import Cell, cell_of
from generation.engine.recipe import Recipe, Rows
from generation.models import Run

SIZE = 50


@dataclass(frozen=True)
class RowShown:
    conversation: Conversation
    cells: list[tuple[str, Cell]]
    """Each with the name of its column."""


@require_GET
@project_view()
def run_table(request: HtmxHttpRequest, project: Project, run: int) -> HttpResponse:
    """Newest first; columns are the properties of the run's schema, in its order."""
    row = get_object_or_404(project.runs, pk=run)
    columns = columns_of(row)
    if not columns:
        raise Http404("This run makes no rows.")
    page = keyset(rows_of(project, row), "pk", size=SIZE, descending=True, **PlaceForm(request.GET).values())
    context = {
        "run": row,
        "columns": columns,
        "page": page,
        "rows": [RowShown(one, cells_of(one.head.output, columns)) for one in page.rows],
    }
    return render_page(request, "generation/run_table.html", context, fragment="table")


def columns_of(run: Run) -> list[str]:
    """Empty for a run that makes no rows."""
    product = Recipe.model_validate(run.spec).product
    return list(product.form["properties"]) if isinstance(product, Rows) else []


def rows_of(project: Project, run: Run) -> ConversationQuerySet:
    """With the row of each conversation's head, but without what was said and how it came to be."""
    rows = project.conversations.filter(batch=run.batch_id).with_head()
    return rows.defer("head__search", "head__messages", "head__trace", "head__tools", "head__extra")


def cells_of(output: Any, columns: Sequence[str]) -> list[tuple[str, Cell]]:
    said = output if isinstance(output, dict) else {}
    return [(name, cell_of(said.get(name))) for name in columns]
