"""What was read from a corpus: its documents, one document with its passages, and what a search finds in them."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from datasets import pulse
from datasets.access import project_view
from datasets.forms.corpora import DocumentsForm, SearchForm, SpanForm
from datasets.keyset import keyset
from datasets.models import Corpus, Document, Project
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.collecting.parts import Span, read_part
from datasets.services.collecting.search import Asked, ask_vector, search_corpus
from datasets.services.errors import Refused
from datasets.views.corpora import find_corpus

HITS = 10


@require_GET
@project_view()
def document_list(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    row = find_corpus(project, corpus)
    place = DocumentsForm(request.GET).values()
    documents = row.documents.matching(title=place["q"], file=place["file"]).without_text().select_related("source")
    context = {
        "corpus": row,
        "tab": "documents",
        "q": place["q"] or "",
        "file": place["file"] and row.files.filter(pk=place["file"]).first(),
        "page": keyset(documents, "pk", after=place["after"], before=place["before"]),
    }
    return render_page(request, "datasets/document_list.html", context, fragment="list")


@require_GET
@project_view()
def document_detail(request: HtmxHttpRequest, project: Project, corpus: int, document: int) -> HttpResponse:
    """`?start=&end=` marks that stretch and `?passage=` that passage; the part where it begins is shown."""
    documents = Document.objects.defer("text").select_related("source", "corpus")
    row = get_object_or_404(documents, pk=document, corpus=corpus, corpus__project=project, corpus__deleted=None)
    target = SpanForm(request.GET).values()
    context = {
        "corpus": row.corpus,
        "document": row,
        "part": read_part(row, number=target["part"], span=_span(row, target)),
        "previous": row.neighbour(-1),
        "next": row.neighbour(1),
    }
    return render_page(request, "datasets/document_detail.html", context)


def _span(document: Document, target: dict[str, int | None]) -> Span | None:
    if target["passage"] is not None:
        return document.passages.filter(pk=target["passage"]).values_list("start", "end").first()
    if target["start"] is None or target["end"] is None:
        return None
    return target["start"], target["end"]


@require_GET
@project_view()
def corpus_search(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    """What retrieval returns for a query, with its scores: what words find at once, while a worker has the query's vector
    made; the page asks again until it is there."""
    row = find_corpus(project, corpus)
    place = SearchForm(request.GET).values()
    query = place["q"] or ""
    asked = ask_vector(corpus=row, text=query, user=request.user, number=place["asked"]) if query else Asked()
    if request.htmx and asked.waits and asked.waits == place["asked"]:
        return HttpResponse(status=204)
    context = {"corpus": row, "tab": "search", "q": query, "asked": asked, **_found(row, query, asked)}
    context["silent"] = asked.waits and not pulse.listens("default")
    return render_page(request, "datasets/corpus_search.html", context, fragment="results")


def _found(corpus: Corpus, query: str, asked: Asked) -> dict[str, Any]:
    """Of a corpus that is searched by vectors alone nothing, before there is one."""
    if not query or (corpus.adopted_id and (asked.waits or asked.fault)):
        return {"hits": []}
    try:
        return {"hits": search_corpus(corpus=corpus, query=query, limit=HITS, vector=asked.vector)}
    except Refused as refusal:
        return {"hits": [], "fault": str(refusal)}
