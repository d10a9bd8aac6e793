"""Recipes that are kept under a name, and recipes as YAML."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from datasets.access import project_view
from datasets.models import Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.errors import Refused
from datasets.verbs import verbs
from generation.engine.recipe import Recipe as RecipeSpec
from generation.forms.recipe_text import ConfigTextForm, RecipeTextForm
from generation.forms.recipes import RecipeForm, initial_from
from generation.frozen import Frozen
from generation.services.afterimage.runs import pasted_recipe
from generation.services.recipe_yaml import read_yaml, write_yaml
from generation.services.recipes import delete_recipe
from generation.services.running.freezing import freeze

from .recipes import form_page


@project_view()
def show(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _page(request, project, RecipeTextForm())


@project_view(Role.CURATOR)
def paste(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """The form of a new run, filled from a pasted text."""
    form = RecipeTextForm(request.POST)
    if form.is_valid():
        try:
            spec = read_yaml(project=project, text=form.cleaned_data["text"])
        except Refused as refusal:
            form.add_error("text", str(refusal))
        else:
            return form_page(request, project, RecipeForm(project=project, initial=initial_from(spec)))
    return _page(request, project, form, status=422)


recipe_list = verbs(get=show, post=paste)


@require_POST
@project_view(Role.CURATOR)
def config_paste(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """The form of a new run, filled from a config file of the AfterImage library."""
    form = ConfigTextForm(project, request.POST)
    if form.is_valid():
        chosen = {name: form.cleaned_data[name] for name in ("corpus", "endpoint")}
        try:
            text = form.cleaned_data["config"]
            pasted = pasted_recipe(project=project, text=text, actor=request.user, **chosen)
        except Refused as refusal:
            form.add_error(refusal.field if refusal.field in chosen else "config", str(refusal))
        else:
            for note in pasted.notes:
                messages.info(request, note)
            return form_page(request, project, RecipeForm(project=project, initial=initial_from(pasted.spec)))
    return _page(request, project, RecipeTextForm(), config=form, status=422)


def _page(
    request: HtmxHttpRequest,
    project: Project,
    form: RecipeTextForm,
    config: ConfigTextForm | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "recipes": project.recipes.select_related("author"),
        "form": form,
        "config": config or ConfigTextForm(project),
        "section": "runs",
    }
    return render_page(request, "generation/recipe_list.html", context, status=status)


@require_GET
@project_view()
def recipe_yaml(request: HtmxHttpRequest, project: Project, recipe: int) -> HttpResponse:
    row = get_object_or_404(project.recipes, pk=recipe)
    spec = RecipeSpec.model_validate(row.spec)
    try:
        return _as_text(write_yaml(spec, freeze(project=project, spec=spec)))
    except Refused as refusal:
        messages.error(request, f"“{row.name}” cannot be written as it stands. {refusal}")
        return redirect("generation:recipe-list", project.slug)


@require_GET
@project_view()
def run_yaml(request: HtmxHttpRequest, project: Project, run: int) -> HttpResponse:
    """The recipe of a run, in the names that held when it was launched."""
    row = get_object_or_404(project.runs, pk=run)
    return _as_text(write_yaml(RecipeSpec.model_validate(row.spec), Frozen.model_validate(row.frozen)))


def _as_text(text: str) -> HttpResponse:
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


@require_POST
@project_view(Role.CURATOR)
def recipe_delete(request: HtmxHttpRequest, project: Project, recipe: int) -> HttpResponse:
    row = get_object_or_404(project.recipes, pk=recipe)
    delete_recipe(recipe=row, user=request.user)
    messages.success(request, f"The recipe “{row.name}” is deleted.")
    return redirect("generation:recipe-list", project.slug)
