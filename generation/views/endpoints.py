"""Endpoints: model servers of a project. Owners manage them; members see which there are, and nobody sees a key."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from datasets.access import project_view
from datasets.models import Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.errors import Refused
from generation.engine.providers.presets import PRESETS
from generation.forms.endpoints import EndpointForm, price_formset, prices_of
from generation.models import Endpoint, Trial
from generation.services import endpoints, trials
from generation.tasks import run_trial


@require_GET
@project_view()
def endpoint_list(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    rows = project.endpoints.prefetch_related("keys", "prices")
    return render_page(request, "generation/endpoint_list.html", {"endpoints": rows, "presets": PRESETS})


@require_http_methods(["GET", "POST"])
@project_view(Role.OWNER)
def endpoint_new(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    return _edit(request, project, None)


@require_http_methods(["GET", "POST"])
@project_view(Role.OWNER)
def endpoint_detail(request: HtmxHttpRequest, project: Project, endpoint: int) -> HttpResponse:
    return _edit(request, project, get_object_or_404(project.endpoints, pk=endpoint))


def _edit(request: HtmxHttpRequest, project: Project, endpoint: Endpoint | None) -> HttpResponse:
    initial = None if endpoint else {"preset": request.GET.get("preset", "openai")}
    form = EndpointForm(request.POST or None, instance=endpoint, initial=initial)
    prices = price_formset(endpoint, request.POST or None)
    if request.method == "POST" and form.is_valid() and prices.is_valid():
        try:
            return _save(request, project, endpoint, form, prices)
        except Refused as refusal:
            form.add_error(refusal.field if refusal.field in form.fields else None, str(refusal))
    context = {"form": form, "prices": prices, "endpoint": endpoint, "presets": PRESETS}
    return render_page(
        request, "generation/endpoint_form.html", context, status=422 if request.method == "POST" else 200
    )


@transaction.atomic
def _save(
    request: HtmxHttpRequest, project: Project, endpoint: Endpoint | None, form: EndpointForm, prices
) -> HttpResponse:
    # The form writes its values into its own copy: the service compares them with what is stored.
    stored = Endpoint.objects.get(pk=endpoint.pk) if endpoint else None
    row = endpoints.save_endpoint(
        project=project, user=request.user, values=form.values(), key=form.cleaned_data["key"], endpoint=stored
    )
    endpoints.save_prices(endpoint=row, prices=prices_of(prices))
    messages.success(request, f"“{row.name}” is saved.")
    return redirect("generation:endpoint-detail", project.slug, row.pk)


@require_POST
@project_view(Role.OWNER)
def endpoint_test(request: HtmxHttpRequest, project: Project, endpoint: int) -> HttpResponse:
    """One short call, as the endpoint is stored."""
    row = get_object_or_404(project.endpoints, pk=endpoint)
    trial = trials.ask_for(project=project, kind=Trial.Kind.ENDPOINT, request={"endpoint": row.pk}, user=request.user)
    transaction.on_commit(partial(run_trial.delay, trial.pk))
    return redirect("generation:trial-detail", project.slug, trial.pk)


@require_POST
@project_view(Role.OWNER)
def endpoint_forget_key(request: HtmxHttpRequest, project: Project, endpoint: int) -> HttpResponse:
    row = get_object_or_404(project.endpoints, pk=endpoint)
    endpoints.forget_keys(endpoint=row, user=request.user)
    return redirect("generation:endpoint-detail", project.slug, row.pk)


@require_POST
@project_view(Role.OWNER)
def endpoint_delete(request: HtmxHttpRequest, project: Project, endpoint: int) -> HttpResponse:
    row = get_object_or_404(project.endpoints, pk=endpoint)
    try:
        endpoints.delete_endpoint(endpoint=row, user=request.user)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("generation:endpoint-detail", project.slug, row.pk)
    return redirect("generation:endpoint-list", project.slug)
