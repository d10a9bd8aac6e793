"""How a corpus is searched: by words alone, or by meaning too; and with which model, where somebody else made its vectors."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET

from datasets.access import project_view
from datasets.models import Corpus, Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.errors import Refused
from datasets.verbs import verbs
from generation.forms.embeddings import EmbeddingForm, QueryModelForm
from generation.models import CorpusEmbedding
from generation.services.servers.embeddings import choose_embedding


@project_view(Role.CURATOR)
def show(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    row = _find(project, corpus)
    current = CorpusEmbedding.objects.filter(corpus=row).first()
    initial = {"endpoint": current.endpoint_id, "model": current.model} if current else {}
    return _page(request, row, _form(row, project=project, initial=initial))


@project_view(Role.CURATOR)
def save(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    row = _find(project, corpus)
    form = _form(row, request.POST, project=project)
    if form.is_valid():
        try:
            changed = choose_embedding(corpus=row, user=request.user, **form.cleaned_data)
        except Refused as refusal:
            form.add_error(refusal.field or None, str(refusal))
        else:
            messages.success(request, _told(row) if changed else "Nothing has changed.")
            return redirect("datasets:corpus-detail", project.slug, row.pk)
    return _page(request, row, form, status=422)


corpus_embedding = verbs(get=show, post=save)


@require_GET
@project_view()
def corpus_embedding_state(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    """Which model embeds the questions to an adopted corpus: a part of that corpus's page."""
    row = _find(project, corpus)
    embedding = CorpusEmbedding.objects.select_related("endpoint").filter(corpus=row).first()
    context = {"corpus": row, "embedding": embedding}
    return render_page(request, "generation/corpus_embedding_state.html", context, fragment="state")


def _find(project: Project, pk: int) -> Corpus:
    return get_object_or_404(project.corpora.select_related("adopted"), pk=pk)


def _form(corpus: Corpus, *args: Any, **kwargs: Any) -> forms.Form:
    return (QueryModelForm if corpus.adopted_id else EmbeddingForm)(*args, **kwargs)


def _told(corpus: Corpus) -> str:
    return "Saved." if corpus.adopted_id else "Every file is being indexed anew."


def _page(request: HtmxHttpRequest, corpus: Corpus, form: forms.Form, status: int = 200) -> HttpResponse:
    return render_page(request, "generation/corpus_embedding.html", {"corpus": corpus, "form": form}, status=status)
