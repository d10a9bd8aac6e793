"""The files of a corpus: added, read again, deleted."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import PurePath

from django.contrib import messages
from django.db import transaction
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from datasets import tasks
from datasets.access import project_view
from datasets.forms.corpora import PasteForm, ReadingForm, UploadForm
from datasets.models import Project, Role, SourceFile
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.collecting import corpora
from datasets.services.errors import Refused
from datasets.views.corpora import files_page, find_corpus, page_of


def _find_file(project: Project, corpus: int, pk: int) -> SourceFile:
    files = SourceFile.objects.filter(corpus__deleted=None).select_related("corpus__project")
    return get_object_or_404(files, pk=pk, corpus=corpus, corpus__project=project)


def _enqueue(sources: Iterable[SourceFile]) -> None:
    for source in sources:
        transaction.on_commit(partial(tasks.ingest_file.delay, source.pk), robust=True)


@require_POST
@project_view(Role.CURATOR)
def corpus_upload(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    row = find_corpus(project, corpus)
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return page_of(row) if row.adopted else files_page(request, row, form, status=422)
    results = corpora.store_files(
        corpus=row, files=form.chosen, user=request.user, options=form.options or None, folders=form.folders()
    )
    _enqueue(result.source for result in results if result.source and result.changed)
    _tell(request, results)
    return page_of(row)


def _tell(request: HttpRequest, results: list[corpora.Stored]) -> None:
    added = [result.name for result in results if result.changed]
    unchanged = [result.name for result in results if result.source and not result.changed]
    if added:
        messages.success(request, f"Added {_listed(added)}.")
    if unchanged:
        messages.info(request, f"Nothing to do for {_listed(unchanged)}: the content has not changed.")
    for result in results:
        if result.refusal:
            messages.error(request, f"{result.name}: {result.refusal}")


def _listed(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} files"


@project_view(Role.CURATOR)
def corpus_paste(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    context = {"corpus": find_corpus(project, corpus), "form": PasteForm()}
    return render_page(request, "datasets/corpus_paste.html", context)


@project_view(Role.CURATOR)
def corpus_add(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    """Takes a pasted text."""
    row = find_corpus(project, corpus)
    form = PasteForm(request.POST)
    if form.is_valid():
        try:
            source, changed = corpora.paste_text(corpus=row, user=request.user, **form.cleaned_data)
        except Refused as refusal:
            form.add_error(refusal.field or None, str(refusal))
        else:
            _enqueue([source] if changed else [])
            _tell(request, [corpora.Stored(source.name, source, changed)])
            return page_of(row)
    return render_page(request, "datasets/corpus_paste.html", {"corpus": row, "form": form}, status=422)


@require_GET
@project_view()
def corpus_file(request: HtmxHttpRequest, project: Project, corpus: int, file: int) -> HttpResponse:
    """One file: what was read from it, what was left out and why, and how to read it otherwise."""
    source = _find_file(project, corpus, file)
    context = {"corpus": source.corpus, "source": source, "form": ReadingForm(source)}
    return render_page(request, "datasets/corpus_file.html", context, fragment="state")


@require_GET
@project_view()
def corpus_file_original(request: HtmxHttpRequest, project: Project, corpus: int, file: int) -> FileResponse:
    """The file as it was uploaded, to be saved: a browser must never run what somebody uploaded."""
    source = _find_file(project, corpus, file)
    try:
        content = source.file.open()
    except (FileNotFoundError, ValueError) as error:  # a collection has none
        raise Http404("The stored content of this file is gone.") from error
    return FileResponse(
        content, as_attachment=True, filename=PurePath(source.name).name, content_type="application/octet-stream"
    )


@require_POST
@project_view(Role.CURATOR)
def corpus_file_reread(request: HtmxHttpRequest, project: Project, corpus: int, file: int) -> HttpResponse:
    source = _find_file(project, corpus, file)
    form = ReadingForm(source, request.POST)
    if not form.is_valid():
        context = {"corpus": source.corpus, "source": source, "form": form}
        return render_page(request, "datasets/corpus_file.html", context, status=422)
    options = None if "as_before" in request.POST else form.options
    corpora.reread_file(source=source, options=options, user=request.user)
    _enqueue([source])
    return redirect("datasets:corpus-file", project.slug, corpus, file)


@require_POST
@project_view(Role.CURATOR)
def corpus_file_delete(request: HtmxHttpRequest, project: Project, corpus: int, file: int) -> HttpResponse:
    source = _find_file(project, corpus, file)
    try:
        corpora.delete_file(source=source, user=request.user)
        _enqueue([source])
        messages.info(request, f"{source.name} is being deleted.")
    except Refused as refusal:
        messages.error(request, str(refusal))
    return page_of(source.corpus)
