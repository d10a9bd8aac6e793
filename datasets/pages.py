"""How a view answers: a whole page, or the one fragment of it that HTMX asked for."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django_htmx.middleware import HtmxDetails

from .models import User


class HtmxHttpRequest(HttpRequest):
    """What the middleware makes of a request, in views that only people who are logged in reach."""

    htmx: HtmxDetails
    user: User


def render_page(
    request: HtmxHttpRequest, template: str, context: dict[str, Any], *, fragment: str = "", status: int = 200
) -> HttpResponse:
    """The page `template`, or its partial `fragment` when HTMX asks (but never when the browser goes back in history)."""
    if fragment and request.htmx and not request.htmx.history_restore_request and not request.htmx.boosted:
        template = f"{template}#{fragment}"
    response = render(request, template, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response
