"""The run form: what a run is made from, what it will take, one conversation as a preview, and the launch."""

from __future__ import annotations

import random
from functools import partial

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from datasets.access import project_view
from datasets.models import Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.errors import Refused
from generation.engine.recipe import Recipe as RecipeSpec
from generation.forms.recipes import RecipeForm, initial_from
from generation.models import Recipe, Run, Trial
from generation.services import estimating, runs, trials
from generation.services.recipes import delete_recipe, save_recipe
from generation.tasks import call_for_workers, run_trial


@require_http_methods(["GET", "POST"])
@project_view(Role.CURATOR)
def run_new(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """GET: the form, empty or after a recipe (`?recipe=`) or a run (`?run=`). POST: launch."""
    if request.method == "GET":
        form = RecipeForm(project=project, initial=_initial(request, project))
        return _form_page(request, project, form)
    form = RecipeForm(request.POST, project=project)
    if form.is_valid():
        try:
            return _launch(request, project, form)
        except Refused as refusal:
            form.add_error(refusal.field if refusal.field in form.fields else None, str(refusal))
    return _form_page(request, project, form, status=422)


@transaction.atomic
def _launch(request: HtmxHttpRequest, project: Project, form: RecipeForm) -> HttpResponse:
    spec, name = form.recipe(), form.cleaned_data["name"]
    recipe = None
    if request.POST.get("save_as"):
        recipe = save_recipe(project=project, name=request.POST["save_as"], spec=spec, author=request.user)
    run = runs.start_run(project=project, spec=spec, user=request.user, name=name, recipe=recipe)
    transaction.on_commit(partial(call_for_workers, run.pk, spec.concurrency))
    return redirect("generation:run-detail", project.slug, run.pk)


@require_POST
@project_view(Role.CURATOR)
def run_estimate(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """The side summary, reckoned anew at each change of the form."""
    form = RecipeForm(request.POST, project=project)
    context = {"form": form, **_estimate(project, form)}
    return render(request, "generation/run_form.html#summary", context)


@require_POST
@project_view(Role.CURATOR)
def run_preview(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """Make one conversation of the recipe, with every prompt that is sent."""
    form = RecipeForm(request.POST, project=project)
    if not form.is_valid():
        return _form_page(request, project, form, status=422)
    wanted = {"recipe": form.recipe().model_dump(mode="json")}
    trial = trials.ask_for(project=project, kind=Trial.Kind.PREVIEW, request=wanted, user=request.user)
    transaction.on_commit(partial(run_trial.delay, trial.pk))
    return redirect("generation:trial-detail", project.slug, trial.pk)


@require_POST
@project_view(Role.CURATOR)
def recipe_delete(request: HtmxHttpRequest, project: Project, recipe: int) -> HttpResponse:
    delete_recipe(recipe=get_object_or_404(project.recipes, pk=recipe), user=request.user)
    return redirect("generation:run-new", project.slug)


def _initial(request: HtmxHttpRequest, project: Project) -> dict[str, object]:
    source: Recipe | Run | None = None
    if request.GET.get("recipe", "").isdecimal():
        source = get_object_or_404(project.recipes, pk=request.GET["recipe"])
    elif request.GET.get("run", "").isdecimal():
        source = get_object_or_404(project.runs, pk=request.GET["run"])
    elif request.GET.get("trial", "").isdecimal():
        trial = get_object_or_404(project.trials, pk=request.GET["trial"], kind=Trial.Kind.PREVIEW)
        return initial_from(RecipeSpec.model_validate(trial.request["recipe"]))
    if source:
        return initial_from(RecipeSpec.model_validate(source.spec))
    corpus = project.corpora.order_by("-pk").first()
    # A fresh seed for a fresh run: launched twice as it stands, the form should not ask the same questions twice.
    return {"corpus": corpus.pk if corpus else None, "seed": random.randrange(2**31)}  # noqa: S311


def _estimate(project: Project, form: RecipeForm) -> dict[str, object]:
    if not form.is_valid():
        return {"estimate": None, "refusal": "Complete the form for an estimate."}
    try:
        return {"estimate": estimating.estimate_recipe(project=project, spec=form.recipe())}
    except Refused as refusal:
        return {"estimate": None, "refusal": str(refusal)}


def _form_page(request: HtmxHttpRequest, project: Project, form: RecipeForm, status: int = 200) -> HttpResponse:
    # An unbound form has no recipe yet: bind what it shows, so that the first look has an estimate as well.
    shown = form if form.is_bound else RecipeForm(_as_posted(form), project=project)
    context = {"form": form, "recipes": project.recipes.all()[:50], **_estimate(project, shown)}
    return render_page(request, "generation/run_form.html", context, status=status)


def _as_posted(form: RecipeForm) -> dict[str, object]:
    """What a browser would send if the form were posted as it first stands."""
    values = {name: form[name].initial for name in form.fields}
    rows: dict[str, QuerySet] = {"endpoint": form.project.endpoints.all(), "respondent_prompt": form.respondents}
    for name, choices in rows.items():
        values[name] = values[name] or choices.values_list("pk", flat=True).first()
    return {name: value for name, value in values.items() if value not in (None, False, "")}
