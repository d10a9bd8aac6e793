"""The run form: what a run is made from, what it will take, one conversation as a preview, and the launch."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from datasets.access import project_view
from datasets.models import Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.errors import Refused
from datasets.verbs import verbs
from generation.engine.recipe import Recipe as RecipeSpec
from generation.forms.estimates import unfinished
from generation.forms.recipes import PersonaSearchForm, RecipeForm, first_choices, initial_from
from generation.models import Trial
from generation.services import trials
from generation.services.recipes import save_recipe
from generation.services.running import estimating, persona_picker, runs
from generation.services.running.freezing import embedders
from generation.services.running.searching import unsearchable
from generation.tasks import call_for_workers, run_trial


@project_view(Role.CURATOR)
def show(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """The form with first choices, or after a recipe (`?recipe=`), a run (`?run=`) or a preview (`?trial=`).

    With `?corpus=` it is about that one, instead of the newest. With `?persona_q=` or `?persona_document=` the personas that match take part, instead of everybody.
    """
    return form_page(request, project, RecipeForm(project=project, initial=_initial(request, project)))


@project_view(Role.CURATOR)
def launch(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    form = RecipeForm(request.POST, project=project)
    if form.is_valid():
        try:
            return _launch(request, project, form)
        except Refused as refusal:
            form.add_error(refusal.field if refusal.field in form.fields else None, str(refusal))
    return form_page(request, project, form, status=422)


run_new = verbs(get=show, post=launch)


@transaction.atomic
def _launch(request: HtmxHttpRequest, project: Project, form: RecipeForm) -> HttpResponse:
    spec, kept, recipe = form.recipe(), form.cleaned_data["save_as"], None
    if kept:
        recipe = save_recipe(project=project, name=kept, spec=spec, author=request.user)
    name = form.cleaned_data["name"]
    run = runs.start_run(project=project, spec=spec, user=request.user, name=name, recipe=recipe)
    transaction.on_commit(partial(call_for_workers, run), robust=True)
    return redirect("generation:run-detail", project.slug, run.pk)


@require_POST
@project_view(Role.CURATOR)
def run_estimate(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """The side summary, reckoned anew at each change of the form, and what is to be known of the corpus that it names."""
    form = RecipeForm(request.POST, project=project)
    return render(request, "generation/run_estimate.html", _estimate(project, form))


@require_POST
@project_view(Role.CURATOR)
def run_preview(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """Make one conversation of the recipe, with every prompt that is sent."""
    form = RecipeForm(request.POST, project=project)
    if not form.is_valid():
        return form_page(request, project, form, status=422)
    wanted = {"recipe": form.recipe().model_dump(mode="json")}
    trial = trials.ask_for(project=project, kind=Trial.Kind.PREVIEW, request=wanted, user=request.user)
    transaction.on_commit(partial(run_trial.delay, trial.pk), robust=True)
    return redirect("generation:trial-detail", project.slug, trial.pk)


@require_POST
@project_view(Role.CURATOR)
def run_personas(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """The form as it is, with the personas that match its search; for htmx those alone, and who is chosen."""
    form = RecipeForm(request.POST, project=project)
    if not request.htmx:
        return form_page(request, project, form, searching=True)
    return render(request, "generation/run_personas_found.html", {"picker": _picker(request, project, form)})


def _picker(request: HtmxHttpRequest, project: Project, form: RecipeForm) -> persona_picker.Picker:
    searched = PersonaSearchForm(request.POST or request.GET).group()
    return persona_picker.look(
        project=project, chosen=form.chosen_personas, groups=form.chosen_groups, searched=searched
    )


def _initial(request: HtmxHttpRequest, project: Project) -> dict[str, object]:
    asked = {name: pk for name in ("recipe", "run", "trial", "corpus") if (pk := request.GET.get(name, "")).isdecimal()}
    if "recipe" in asked:
        spec = get_object_or_404(project.recipes, pk=asked["recipe"]).spec
    elif "run" in asked:
        spec = get_object_or_404(project.runs, pk=asked["run"]).spec
    elif "trial" in asked:
        spec = get_object_or_404(project.trials, pk=asked["trial"], kind=Trial.Kind.PREVIEW).request["recipe"]
    else:
        searched = request.GET.keys() & PersonaSearchForm.base_fields.keys()
        corpus = get_object_or_404(project.corpora, pk=asked["corpus"]) if "corpus" in asked else None
        return first_choices(project, PersonaSearchForm(request.GET).group() if searched else None, corpus)
    return initial_from(RecipeSpec.model_validate(spec))


def _estimate(project: Project, form: RecipeForm) -> dict[str, object]:
    if not form.is_valid():
        return {"refusal": next(iter(form.misfits), unfinished(form))}
    try:
        reckoned = estimating.estimate_recipe(project=project, spec=form.recipe())
    except Refused as refusal:
        return {"refusal": str(refusal)}
    return {
        "estimate": reckoned,
        "budget": form.recipe().budget,
        "offline": form.speaks_offline,
        "embedders": embedders(project=project, spec=form.recipe()),
        "unsearchable": unsearchable(project=project, spec=form.recipe()),
    }


def form_page(
    request: HtmxHttpRequest, project: Project, form: RecipeForm, *, status: int = 200, searching: bool = False
) -> HttpResponse:
    # An unbound form has no recipe yet: bind what it shows, so that the first look has an estimate as well.
    shown = form if form.is_bound else form.as_posted()
    context = {
        "form": form,
        "picker": _picker(request, project, form) if searching or not form.lists_personas else None,
        "recipes": project.recipes.all()[:50],
        **_estimate(project, shown),
        "gone": [shown[name].label for name in shown.errors if not form.is_bound and form.initial.get(name)],
    }
    return render_page(request, "generation/run_form.html", context, status=status)
