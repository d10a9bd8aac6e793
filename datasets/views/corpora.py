"""Corpora. Everybody in the project reads; curators and owners write."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from datasets import pulse, tasks
from datasets.access import project_view
from datasets.forms.corpora import AdoptedForm, CorpusForm, FilesForm, UploadForm
from datasets.keyset import keyset
from datasets.models import Corpus, Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.collecting import corpora
from datasets.services.errors import Refused

FILES_A_PAGE = 100


def find_corpus(project: Project, pk: int) -> Corpus:
    return get_object_or_404(project.corpora.with_totals(), pk=pk)


def form_of(corpus: Corpus) -> type[CorpusForm]:
    return AdoptedForm if corpus.adopted_id else CorpusForm


def page_of(corpus: Corpus) -> HttpResponse:
    return redirect("datasets:corpus-detail", corpus.project.slug, corpus.pk)


@require_GET
@project_view()
def corpus_list(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    context = {"corpora": project.corpora.with_totals().order_by("name")}
    return render_page(request, "datasets/corpus_list.html", context)


@require_GET
@project_view()
def corpus_detail(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    """The files, and the way to add more. While a file is open the page asks again for its fragment `files`."""
    row = find_corpus(project, corpus)
    return _adopted_page(request, row) if row.adopted else files_page(request, row, UploadForm())


def files_page(request: HtmxHttpRequest, row: Corpus, upload: UploadForm, status: int = 200) -> HttpResponse:
    place = FilesForm(request.GET).values()
    files = row.files.narrowed(place["state"])
    context = {
        "corpus": row,
        "tab": "files",
        "state": place["state"],
        "page": keyset(files, "name", after=place["after"], before=place["before"], size=FILES_A_PAGE),
        "silent": bool(row.open_total) and not pulse.listens("default"),
        "upload": upload,
    }
    return render_page(request, "datasets/corpus_detail.html", context, fragment="files", status=status)


def _adopted_page(request: HtmxHttpRequest, corpus: Corpus) -> HttpResponse:
    """The collection that the corpus is read from, and how far copying has come."""
    source = corpus.files.get()
    silent = source.is_open and not pulse.listens("default")
    context = {"corpus": corpus, "tab": "files", "source": source, "silent": silent}
    return render_page(request, "datasets/corpus_adopted.html", context, fragment="files")


@project_view(Role.CURATOR)
def corpus_new(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return render_page(request, "datasets/corpus_form.html", {"form": CorpusForm()})


@project_view(Role.CURATOR)
def corpus_create(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    form = CorpusForm(request.POST)
    if form.is_valid():
        try:
            return page_of(corpora.create_corpus(project=project, user=request.user, **form.cleaned_data))
        except Refused as refusal:
            form.add_error(refusal.field or None, str(refusal))
    return render_page(request, "datasets/corpus_form.html", {"form": form}, status=422)


@project_view(Role.CURATOR)
def corpus_edit(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    row = find_corpus(project, corpus)
    return render_page(request, "datasets/corpus_form.html", {"form": form_of(row)(instance=row), "corpus": row})


@project_view(Role.CURATOR)
def corpus_save(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    row = find_corpus(project, corpus)
    form = form_of(row)(request.POST)
    if form.is_valid():
        try:
            if corpora.update_corpus(corpus=row, user=request.user, **form.cleaned_data):
                transaction.on_commit(tasks.tick.delay, robust=True)
                messages.info(request, "The files are being read again, to be cut the new way.")
            return page_of(row)
        except Refused as refusal:
            form.add_error(refusal.field or None, str(refusal))
    return render_page(request, "datasets/corpus_form.html", {"form": form, "corpus": row}, status=422)


@require_POST
@project_view(Role.CURATOR)
def corpus_reread(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    row = find_corpus(project, corpus)
    if corpora.reread_corpus(corpus=row, user=request.user):
        transaction.on_commit(tasks.tick.delay, robust=True)
    return page_of(row)


@project_view(Role.CURATOR)
def corpus_confirm(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    return render_page(request, "datasets/corpus_confirm_delete.html", {"corpus": find_corpus(project, corpus)})


@project_view(Role.CURATOR)
def corpus_delete(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    row = find_corpus(project, corpus)
    corpora.delete_corpus(corpus=row, user=request.user)
    transaction.on_commit(partial(tasks.clear_corpus.delay, row.pk), robust=True)
    messages.success(request, f"The corpus “{row.name}” is deleted.")
    return redirect("datasets:corpus-list", project.slug)
