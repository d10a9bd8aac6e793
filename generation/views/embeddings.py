"""How a corpus is searched: by words alone, or by meaning too."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect

from datasets.access import project_view
from datasets.models import Corpus, Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.errors import Refused
from datasets.verbs import verbs
from generation.forms.embeddings import EmbeddingForm
from generation.models import CorpusEmbedding
from generation.services.embeddings import choose_embedding


@project_view(Role.CURATOR)
def show(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    row = get_object_or_404(project.corpora, pk=corpus)
    current = CorpusEmbedding.objects.filter(corpus=row).values_list("endpoint", flat=True).first()
    return _page(request, row, EmbeddingForm(project=project, initial={"endpoint": current}))


@project_view(Role.CURATOR)
def save(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    row = get_object_or_404(project.corpora, pk=corpus)
    form = EmbeddingForm(request.POST, project=project)
    if form.is_valid():
        try:
            changed = choose_embedding(corpus=row, endpoint=form.cleaned_data["endpoint"], user=request.user)
        except Refused as refusal:
            form.add_error(refusal.field or None, str(refusal))
        else:
            messages.success(request, "Every file is being indexed anew." if changed else "Nothing has changed.")
            return redirect("datasets:corpus-detail", project.slug, row.pk)
    return _page(request, row, form, status=422)


corpus_embedding = verbs(get=show, post=save)


def _page(request: HtmxHttpRequest, corpus: Corpus, form: forms.Form, status: int = 200) -> HttpResponse:
    return render_page(request, "generation/corpus_embedding.html", {"corpus": corpus, "form": form}, status=status)
