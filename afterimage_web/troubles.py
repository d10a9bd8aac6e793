"""What people read when a part of the server is away: what it is, and that it is not their fault."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator

import psycopg
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from kombu.exceptions import OperationalError as QueueError
from psycopg.errors import DiskFull
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeout

DISK = "The server's disk is full, so nothing can be saved: whoever runs this server has to free some space."
DATABASE = "The database does not answer. It may just be starting: try again in a minute."
QUEUE = "The queue does not answer. It may just be starting: try again in a minute."
UNKNOWN = "Something broke on the server. Try again; if it fails again, tell whoever runs this server when it happened."


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler of errors that no view has caught; called while the error is being handled."""
    sentence = what_is_away(sys.exception())
    status = 503 if sentence else 500
    if request.path.startswith("/api/"):
        return JsonResponse({"detail": sentence or UNKNOWN, "field": ""}, status=status)
    return HttpResponse(render_to_string(f"{status}.html", {"sentence": sentence}), status=status)


def what_is_away(error: BaseException | None) -> str:
    """A sentence, or "" where the error tells of no part that is away."""
    for cause in _causes(error):
        match cause:
            case DiskFull():
                return DISK
            case OSError(errno=errno.ENOSPC | errno.EDQUOT):
                return DISK
            case RedisConnectionError() | RedisTimeout() | QueueError():
                return QUEUE
    return DATABASE if any(map(_lost_database, _causes(error))) else ""


def _lost_database(error: BaseException) -> bool:
    """The connection broke or was never there: the server's refusals of a statement have a code of another class."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    cause = error.__cause__
    state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    return state is None or state.startswith(("08", "57P"))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
