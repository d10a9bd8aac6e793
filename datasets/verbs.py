"""One address for a form: GET shows it, POST takes it."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

View = Callable[..., HttpResponse]


def verbs(*, get: View, post: View) -> View:
    @require_http_methods(["GET", "HEAD", "POST"])
    def dispatch(request: HttpRequest, **kwargs: object) -> HttpResponse:
        return (post if request.method == "POST" else get)(request, **kwargs)

    return dispatch
