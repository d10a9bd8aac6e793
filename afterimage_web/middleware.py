"""What every response carries."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

STRICT = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
# The admin's theme brings inline scripts of its own.
RELAXED = STRICT.replace(
    "default-src 'self'",
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'",
)
RELAXED_PATHS = ("/admin/",)


def content_security_policy(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """No page runs a script that this server did not send as a file: the last line behind escaping."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        relaxed = request.path.startswith(RELAXED_PATHS)
        response.headers.setdefault("Content-Security-Policy", RELAXED if relaxed else STRICT)
        return response

    return middleware
