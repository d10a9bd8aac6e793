"""How a corpus is searched: by words alone, or by meaning too; and with which model, where somebody else made its vectors."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET

from datasets.access import project_view
from datasets.models import Corpus, Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.errors import Refused
from datasets.verbs import verbs
from generation.forms.embeddings import EmbeddingForm, QueryModelForm
from generation.models import CorpusEmbedding, Endpoint
from generation.services.servers.embeddings import choose_embedding
from generation.services.trials import ask_for_choice
from generation.tasks import run_trial


@project_view(Role.CURATOR)
def show(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    """Filled in with what was tried, if the address tells that, else with what is chosen."""
    row = _find(project, corpus)
    current = CorpusEmbedding.objects.filter(corpus=row).first()
    initial = {"endpoint": current.endpoint_id, "model": current.model} if current else {}
    tried = {name: request.GET[name] for name in ("endpoint", "model") if name in request.GET}
    return _page(request, row, _form(row, project=project, initial=initial | tried))


@project_view(Role.CURATOR)
def save(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    row = _find(project, corpus)
    form = _form(row, request.POST, project=project)
    if form.is_valid():
        try:
            return _saved(request, row, **form.cleaned_data)
        except Refused as refusal:
            form.add_error(refusal.field or None, str(refusal))
    return _page(request, row, form, status=422)


def _saved(request: HtmxHttpRequest, corpus: Corpus, endpoint: Endpoint | None, model: str = "") -> HttpResponse:
    """A model for an adopted corpus is tried out first, by a worker."""
    slug = corpus.project.slug
    if corpus.adopted_id and endpoint:
        trial = ask_for_choice(corpus=corpus, endpoint=endpoint, model=model, user=request.user)
        transaction.on_commit(partial(run_trial.delay, trial.pk), robust=True)
        return redirect("generation:trial-detail", slug, trial.pk)
    changed = choose_embedding(corpus=corpus, endpoint=endpoint, model=model, user=request.user)
    messages.success(request, _told(corpus) if changed else "Nothing has changed.")
    return redirect("datasets:corpus-detail", slug, corpus.pk)


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
    return get_object_or_404(project.corpora.select_related("project", "adopted"), pk=pk)


def _form(corpus: Corpus, *args: Any, **kwargs: Any) -> forms.Form:
    return (QueryModelForm if corpus.adopted_id else EmbeddingForm)(*args, **kwargs)


def _told(corpus: Corpus) -> str:
    return "Saved." if corpus.adopted_id else "Every file is being indexed anew."


def _page(request: HtmxHttpRequest, corpus: Corpus, form: forms.Form, status: int = 200) -> HttpResponse:
    return render_page(request, "generation/corpus_embedding.html", {"corpus": corpus, "form": form}, status=status)
