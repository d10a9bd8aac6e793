"""Requests that are sent twice and done once: whoever did not hear the answer asks again with the same key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse

from datasets.api.auth import TokenAuth

HEADER = "Idempotency-Key"
LONGEST = 200
KEPT = 24 * 3600
UNDER_WAY = 600
"""Seconds after which a request that never ended may be sent again."""
Run = Callable[..., HttpResponse]
Refuse = Callable[[HttpRequest, int, str, str], HttpResponse]


def done_once(refuse: Refuse) -> Callable[[Run], Run]:
    """Operations that do a request with a known key no second time, and give the answer of the first again.

    Answers that refuse are not kept: what was mended may be sent again with the same key.
    """

    def decorate(run: Run) -> Run:
        @wraps(run)
        def checked(request: HttpRequest, **values: Any) -> HttpResponse:
            key = request.headers.get(HEADER, "")
            # This stands before the operation's own look at the token: an answer that is kept must not outlive it.
            if not key or request.method == "GET" or TokenAuth()(request) is None:
                return run(request, **values)
            if len(key) > LONGEST:
                return refuse(request, 422, f"The key has more than {LONGEST} characters: shorten it.", HEADER)
            place, sent = _place(request, key), _sent(request)
            if cache.add(place, {"sent": sent}, UNDER_WAY):
                return _first(run, request, values, place, sent)
            return _again(refuse, request, cache.get(place) or {}, sent)

        return checked

    return decorate


def _first(run: Run, request: HttpRequest, values: dict[str, Any], place: str, sent: str) -> HttpResponse:
    answer = None
    try:
        answer = run(request, **values)
    finally:
        if answer is None or answer.status_code >= 300 or answer.streaming:
            cache.delete(place)
        else:
            kept = {"status": answer.status_code, "content": answer.content, "type": answer.get("Content-Type", "")}
            cache.set(place, {"sent": sent} | kept, KEPT)
    return answer


def _again(refuse: Refuse, request: HttpRequest, kept: dict[str, Any], sent: str) -> HttpResponse:
    if kept.get("sent", sent) != sent:
        return refuse(request, 422, "This key came with another request before: use a new one for each.", HEADER)
    if "status" not in kept:
        return refuse(request, 409, "A request with this key is being done just now: ask again in a moment.", HEADER)
    answer = HttpResponse(kept["content"], status=kept["status"], content_type=kept["type"] or None)
    answer.headers["Idempotent-Replay"] = "true"
    return answer


def _place(request: HttpRequest, key: str) -> str:
    """Each token has keys of its own, and none is stored as it was sent."""
    return f"api-once-{_digest(request.headers.get('Authorization', ''), key)}"


def _sent(request: HttpRequest) -> str:
    """What was asked for; of an upload the size stands for its content."""
    is_json = request.content_type == "application/json"
    content = request.body.hex() if is_json else request.headers.get("Content-Length", "")
    return _digest(request.method or "", request.get_full_path(), content)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()
