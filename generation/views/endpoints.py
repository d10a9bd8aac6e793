"""Endpoints: model servers of a project. Owners manage them; members see which there are, and nobody sees a key."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_GET, require_POST

from datasets.access import project_view
from datasets.models import Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.errors import Refused
from datasets.verbs import verbs
from generation.engine.providers.presets import Preset
from generation.forms.endpoints import EndpointForm, KeyForm, KeyLimitsForm, price_formset, prices_of
from generation.kinds import kinds
from generation.models import Endpoint, Trial
from generation.models.endpoints import OFFLINE
from generation.services import trials
from generation.services.servers import endpoints
from generation.services.servers.keys import KeyStanding, standings
from generation.tasks import run_trial


def _kinds() -> dict[str, Preset]:
    """Those that somebody can set up."""
    return {key: kind for key, kind in kinds().items() if key != OFFLINE}


@require_GET
@project_view()
def endpoint_list(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    rows = project.endpoints.prefetch_related("keys", "prices")
    return render_page(request, "generation/endpoint_list.html", {"endpoints": rows})


@project_view(Role.OWNER)
def show_new(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    """The kinds of servers to choose from; with `?preset=` the form for one of them, filled with what is known of it."""
    preset = request.GET.get("preset", "")
    if preset not in _kinds():
        return render_page(request, "generation/endpoint_kinds.html", {"kinds": _kinds()})
    return _page(request, EndpointForm(preset=preset), price_formset(None))


@project_view(Role.OWNER)
def save_new(request: HtmxHttpRequest, project: Project) -> HttpResponse:
    preset = request.GET.get("preset", "")
    if preset not in _kinds():
        return redirect("generation:endpoint-new", project.slug)
    return _save(request, project, EndpointForm(request.POST, preset=preset), None)


endpoint_new = verbs(get=show_new, post=save_new)


@project_view(Role.OWNER)
def show(request: HtmxHttpRequest, project: Project, endpoint: int) -> HttpResponse:
    row = get_object_or_404(project.endpoints, pk=endpoint)
    return _page(request, EndpointForm(instance=row, preset=row.preset), price_formset(row), row)


@project_view(Role.OWNER)
def save(request: HtmxHttpRequest, project: Project, endpoint: int) -> HttpResponse:
    row = get_object_or_404(project.endpoints.exclude(preset=OFFLINE), pk=endpoint)
    # The form writes into the row that it is given: the service compares with one as it is stored.
    copy = get_object_or_404(project.endpoints, pk=endpoint)
    return _save(request, project, EndpointForm(request.POST, instance=copy, preset=row.preset), row)


endpoint_detail = verbs(get=show, post=save)


def _save(request: HtmxHttpRequest, project: Project, form: EndpointForm, endpoint: Endpoint | None) -> HttpResponse:
    prices = price_formset(endpoint, request.POST)
    if form.is_valid() and prices.is_valid():
        try:
            row = _write(request, project, form, prices, endpoint)
        except Refused as refusal:
            form.add_error(refusal.field if refusal.field in form.fields else None, str(refusal))
        else:
            messages.success(request, f"“{row.name}” is saved.")
            return _test(request, row) if "test" in request.POST else _at(row)
    return _page(request, form, prices, endpoint, status=422)


@transaction.atomic
def _write(
    request: HtmxHttpRequest,
    project: Project,
    form: EndpointForm,
    prices: forms.BaseFormSet,
    endpoint: Endpoint | None,
) -> Endpoint:
    key = form.cleaned_data["key"]
    row = endpoints.save_endpoint(project=project, user=request.user, values=form.values(), key=key, endpoint=endpoint)
    endpoints.save_prices(endpoint=row, prices=prices_of(prices))
    return row


def _page(
    request: HtmxHttpRequest,
    form: EndpointForm,
    prices: forms.BaseFormSet,
    endpoint: Endpoint | None = None,
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {"form": form, "prices": prices, "endpoint": endpoint}
    if endpoint and not endpoint.is_offline:
        context |= {"keys": key_rows(endpoint), "key_form": KeyForm()}
    return render_page(request, "generation/endpoint_form.html", context, status=status)


def key_rows(endpoint: Endpoint, changed: KeyLimitsForm | None = None) -> list[tuple[KeyStanding, KeyLimitsForm]]:
    """Each key of the endpoint with its form; `changed` is the form that has just been sent for one of them."""
    return [
        (row, changed if changed and changed.instance.pk == row.key.pk else KeyLimitsForm(instance=row.key))
        for row in standings(endpoint.keys.all())
    ]


def _at(endpoint: Endpoint) -> HttpResponse:
    return redirect("generation:endpoint-detail", endpoint.project.slug, endpoint.pk)


@require_POST
@project_view(Role.OWNER)
def endpoint_test(request: HtmxHttpRequest, project: Project, endpoint: int) -> HttpResponse:
    """One short call, as the endpoint is stored."""
    return _test(request, get_object_or_404(project.endpoints, pk=endpoint))


def _test(request: HtmxHttpRequest, endpoint: Endpoint) -> HttpResponse:
    wanted = {"endpoint": endpoint.pk}
    trial = trials.ask_for(project=endpoint.project, kind=Trial.Kind.ENDPOINT, request=wanted, user=request.user)
    transaction.on_commit(partial(run_trial.delay, trial.pk), robust=True)
    return redirect("generation:trial-detail", endpoint.project.slug, trial.pk)


@require_POST
@project_view(Role.OWNER)
def endpoint_forget_key(request: HtmxHttpRequest, project: Project, endpoint: int) -> HttpResponse:
    row = get_object_or_404(project.endpoints, pk=endpoint)
    endpoints.forget_keys(endpoint=row, user=request.user)
    return _at(row)


@require_POST
@project_view(Role.OWNER)
def endpoint_delete(request: HtmxHttpRequest, project: Project, endpoint: int) -> HttpResponse:
    row = get_object_or_404(project.endpoints, pk=endpoint)
    try:
        endpoints.delete_endpoint(endpoint=row, user=request.user)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return _at(row)
    messages.success(request, f"“{row.name}” is deleted.")
    return redirect("generation:endpoint-list", project.slug)
