"""The preference pairs of a run: how they turned out, and each of them."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from datasets.access import project_view
from datasets.forms.conversations import PlaceForm
from datasets.models import Project
from datasets.pages import HtmxHttpRequest, render_page
from datasets.presenters import charts
from generation.services.running import pairs

CHOICES: dict[str, pairs.Only] = {"valid": "valid", "discarded": "discarded"}


@require_GET
@project_view()
def run_pairs(request: HtmxHttpRequest, project: Project, run: int) -> HttpResponse:
    """`?only=valid` or `?only=discarded` narrows the list."""
    row = get_object_or_404(project.runs.select_related("batch", "project"), pk=run)
    product = pairs.product_of(row)
    if product is None:
        raise Http404("This run makes no pairs.")
    report, only = pairs.report_of(row, product), CHOICES.get(request.GET.get("only", ""), "")
    page = pairs.page_of_pairs(row, product, only, **PlaceForm(request.GET).values())
    context = {
        "run": row,
        "product": product,
        "report": report,
        "chart": charts.bars("How often each kind was the better answer", report.labels.items())
        if report.labels
        else "",
        "page": page,
        "pairs": [pairs.pair_of(one, one.alternatives, product) for one in page.rows],
        "only": only,
    }
    return render_page(request, "generation/run_pairs.html", context, fragment="list")
