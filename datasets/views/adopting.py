"""Somebody else's collection becomes a corpus, in three steps on one page; and what is read of it is changed."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.forms import Form
from django.http import Http404, HttpResponse
from django.shortcuts import redirect

from datasets import tasks
from datasets.access import project_view
from datasets.forms.adopting import AdoptForm, ChangeForm, CollectionForm, ServerForm, reading_of
from datasets.models import AdoptedCollection, Corpus, Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.collecting import adopting
from datasets.services.collecting.adopting import Look, Reading
from datasets.services.errors import Refused
from datasets.views.corpora import find_corpus, page_of

READ = ("content_key", "title_key", "id_key", "max_docs", "vector", "score_threshold")


@project_view(Role.CURATOR)
def adopt_new(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _adopt_page(request, {"server": ServerForm()})


@project_view(Role.CURATOR)
def adopt_create(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """Goes as far as what was sent allows: to the server's collections, to one of them, to the corpus."""
    steps: dict[str, Any] = {"server": ServerForm(request.POST)}
    server: Form = steps["server"]
    if not server.is_valid():
        return _adopt_page(request, steps, 422)
    at = {"url": server.cleaned_data["url"], "key": server.cleaned_data["key"]}
    form = server
    try:
        form = steps["chosen"] = _collections(request, at)
        if not form.is_bound or not form.is_valid():
            return _adopt_page(request, steps, 422 if form.errors else 200)
        at["collection"] = form.cleaned_data["collection"]
        steps["look"] = adopting.look_at(**at)
        form = steps["reading"] = _reading(request, steps["look"], at["collection"])
        if not form.is_bound or not form.is_valid():
            return _adopt_page(request, steps, 422 if form.errors else 200)
        return _adopted(request, project, at, form.cleaned_data)
    except Refused as refusal:
        _blame(refusal, form, steps)
    return _adopt_page(request, steps, 422)


def _collections(request: HtmxHttpRequest, at: dict[str, str]) -> CollectionForm:
    names = adopting.collections_at(**at)
    if not names:
        raise Refused("There is no collection on that server yet: fill one first.", field="url")
    return CollectionForm(names, request.POST if request.POST.get("collection") else None)


def _reading(request: HtmxHttpRequest, look: Look, collection: str) -> AdoptForm:
    """Filled in with what the first points suggest, unless this very collection's form is sent."""
    if "adopt" in request.POST and request.POST.get("looked_at") == collection:
        return AdoptForm(look.vectors, request.POST)
    usual = asdict(adopting.completed(Reading(), look)) | {"name": collection[:100]}
    return AdoptForm(look.vectors, initial=usual)


def _adopted(request: HtmxHttpRequest, project: Project, at: dict[str, str], values: dict[str, Any]) -> HttpResponse:
    reading = Reading(**{name: values[name] for name in READ})
    about = {"name": values["name"], "description": values["description"]}
    corpus, source = adopting.adopt_collection(project=project, user=request.user, reading=reading, **about, **at)
    transaction.on_commit(partial(tasks.ingest_file.delay, source.pk), robust=True)
    messages.success(request, f"“{corpus.name}” is being copied.")
    if corpus.adopted and corpus.adopted.size:
        return redirect("generation:corpus-embedding", project.slug, corpus.pk)
    return page_of(corpus)


def _blame(refusal: Refused, form: Form, steps: dict[str, Any]) -> None:
    """Put the sentence beside the field that it is about, in whichever step that is."""
    for step in (form, *(step for step in steps.values() if isinstance(step, Form))):
        if refusal.field in step.fields:
            step.is_valid()
            step.add_error(refusal.field, str(refusal))
            return
    form.add_error(None, str(refusal))


def _adopt_page(request: HtmxHttpRequest, steps: dict[str, Any], status: int = 200) -> HttpResponse:
    return render_page(request, "datasets/corpus_adopt.html", steps, fragment="steps", status=status)


# -- afterwards ------------------------------------------------------------------------------------------------------


@project_view(Role.CURATOR)
def reading_edit(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    row, adopted = _find_adopted(project, corpus)
    try:
        look = adopting.look_again(corpus=row)
    except Refused as refusal:  # with another key, perhaps
        return _reading_page(request, row, ChangeForm([], initial=reading_of(adopted)), fault=str(refusal))
    return _reading_page(request, row, ChangeForm(look.vectors, initial=reading_of(adopted)), look)


@project_view(Role.CURATOR)
def reading_save(request: HtmxHttpRequest, project: Project, corpus: int) -> HttpResponse:
    row, _ = _find_adopted(project, corpus)
    look, form = None, ChangeForm([], request.POST)
    try:
        look = adopting.look_again(corpus=row, key=request.POST.get("key", ""))
        form = ChangeForm(look.vectors, request.POST)
        if form.is_valid():
            reading = Reading(**{name: form.cleaned_data[name] for name in READ})
            key = form.cleaned_data["key"]
            if adopting.change_reading(corpus=row, reading=reading, key=key, user=request.user):
                transaction.on_commit(tasks.tick.delay, robust=True)
                messages.info(request, "It is being copied again.")
            return page_of(row)
    except Refused as refusal:
        form.is_valid()
        form.add_error(refusal.field if refusal.field in form.fields else None, str(refusal))
    return _reading_page(request, row, form, look, status=422)


def _find_adopted(project: Project, pk: int) -> tuple[Corpus, AdoptedCollection]:
    corpus = find_corpus(project, pk)
    if corpus.adopted is None:
        raise Http404("This corpus is read from files.")
    return corpus, corpus.adopted


def _reading_page(
    request: HtmxHttpRequest, corpus: Corpus, form: Form, look: Look | None = None, fault: str = "", status: int = 200
) -> HttpResponse:
    context = {"corpus": corpus, "form": form, "look": look, "fault": fault}
    return render_page(request, "datasets/corpus_reading.html", context, status=status)
