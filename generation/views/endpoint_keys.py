"""The keys of an endpoint, on its page: owners add, limit, switch and remove them, and none is ever shown."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from datasets.access import project_view
from datasets.models import Project, Role
from datasets.pages import HtmxHttpRequest, render_page
from datasets.services.errors import Refused
from generation.forms.endpoints import EndpointForm, KeyForm, KeyLimitsForm, price_formset
from generation.models import Endpoint, EndpointKey
from generation.models.endpoints import OFFLINE
from generation.services.servers import keys as endpoint_keys

from .endpoints import key_rows


@require_POST
@project_view(Role.OWNER)
def key_add(request: HtmxHttpRequest, project: Project, endpoint: int) -> HttpResponse:
    row = get_object_or_404(project.endpoints.exclude(preset=OFFLINE), pk=endpoint)
    form = KeyForm(request.POST)
    if form.is_valid():
        try:
            endpoint_keys.add_key(
                endpoint=row, secret=form.cleaned_data["key"], values=form.values(), user=request.user
            )
        except Refused as refusal:
            form.add_error("key", str(refusal))
        else:
            messages.success(request, "The key is added: calls take turns among the keys.")
            return _at(row)
    return _again(request, row, new=form)


@require_POST
@project_view(Role.OWNER)
def key_save(request: HtmxHttpRequest, project: Project, endpoint: int, key: int) -> HttpResponse:
    row = _key(project, endpoint, key)
    form = KeyLimitsForm(request.POST, instance=row)
    if not form.is_valid():
        return _again(request, row.endpoint, changed=form)
    endpoint_keys.change_key(key=row, user=request.user)
    messages.success(request, "The key's limits are saved.")
    return _at(row.endpoint)


@require_POST
@project_view(Role.OWNER)
def key_switch(request: HtmxHttpRequest, project: Project, endpoint: int, key: int) -> HttpResponse:
    """`on` is 1 or empty."""
    row = _key(project, endpoint, key)
    endpoint_keys.switch_key(key=row, on=bool(request.POST.get("on")), user=request.user)
    return _at(row.endpoint)


@require_POST
@project_view(Role.OWNER)
def key_remove(request: HtmxHttpRequest, project: Project, endpoint: int, key: int) -> HttpResponse:
    row = _key(project, endpoint, key)
    endpoint_keys.remove_key(key=row, user=request.user)
    messages.success(request, "The key is removed.")
    return _at(row.endpoint)


def _key(project: Project, endpoint: int, key: int) -> EndpointKey:
    keys = EndpointKey.objects.select_related("endpoint__project")
    return get_object_or_404(keys, pk=key, endpoint=endpoint, endpoint__project=project)


def _at(endpoint: Endpoint) -> HttpResponse:
    address = reverse("generation:endpoint-detail", args=[endpoint.project.slug, endpoint.pk])
    return redirect(f"{address}#keys")


def _again(
    request: HtmxHttpRequest, endpoint: Endpoint, new: KeyForm | None = None, changed: KeyLimitsForm | None = None
) -> HttpResponse:
    """The endpoint's page with what is wrong with the form for a key."""
    context = {
        "endpoint": endpoint,
        "form": EndpointForm(instance=endpoint, preset=endpoint.preset),
        "prices": price_formset(endpoint),
        "keys": key_rows(endpoint, changed),
        "key_form": new or KeyForm(),
    }
    return render_page(request, "generation/endpoint_form.html", context, status=422)
