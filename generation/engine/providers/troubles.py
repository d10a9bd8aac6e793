"""From what went wrong between us and a server to the engine's classes of error, in a sentence for people.

The server's own words are kept, clipped, and the key is struck from them should the server have repeated it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import openai

from generation.engine.errors import (
    DialogError,
    EngineError,
    FatalError,
    KeyRefused,
    Overloaded,
    RateLimited,
    RefusedRequest,
    TransientError,
)

from .servers import Server

LONGEST = 500
_PASSING = frozenset({408, 409, 425, 429})
_TOO_LONG = re.compile(
    r"context.{0,10}(length|window|size)|maximum context|prompt is too long|too many (input )?tokens", re.I
)
_WITHHELD = ("content_filter", "content_policy_violation", "responsibleaipolicyviolation", "your input was flagged")
_NO_CREDIT = ("insufficient_quota", "insufficient_balance", "billing_hard_limit_reached", "insufficient balance")


def from_openai(error: openai.OpenAIError, server: Server, model: str) -> EngineError:
    """The engine's error for one of the client library's."""
    if isinstance(error, openai.APIStatusError):
        words = own_words(error.body, server) or own_words(error.response.text, server)
        return from_status(error.status_code, words, error.code or "", model, retry_after(error.response.headers))
    if isinstance(error, openai.APIConnectionError):
        return _from_connection(error, server)
    return TransientError(f"The call failed: {_clip(str(error), server)}")


def from_status(status: int, words: str, code: str = "", model: str = "", wish: float | None = None) -> EngineError:
    """The engine's error for an HTTP status, the server's own words and its error code. `wish` is its Retry-After."""
    said = f" The server says: {words}" if words else ""
    signs = f"{code} {words}".lower()
    if status == 402 or (status in (403, 429) and any(sign in signs for sign in _NO_CREDIT)):
        return KeyRefused(
            f"The account behind this key has no credit left ({status}). Top it up or use another key.{said}"
        )
    if status == 429:
        return RateLimited(f"The server asks for fewer requests ({status}).{said}", retry_after=wish)
    if status >= 500:
        return Overloaded(f"The server failed ({status}).{said}", retry_after=wish)
    if status in _PASSING:
        return TransientError(f"The server could not answer just now ({status}).{said}", retry_after=wish)
    return _from_refusal(status, words, signs, model, said)


def _from_refusal(status: int, words: str, signs: str, model: str, said: str) -> EngineError:
    if any(sign in signs for sign in _WITHHELD):
        return DialogError(f"The server's content filter refused the request ({status}).{said}")
    if status == 401:
        return KeyRefused(f"The server does not accept this API key ({status}). Check the endpoint's key.{said}")
    if status == 403:
        return KeyRefused(f"The server does not allow this key to use “{model}” ({status}).{said}")
    if status == 404:
        return FatalError(f"The server has no model “{model}” at this address ({status}). Check both.{said}")
    if 300 <= status < 400:
        return FatalError(f"The server sends us elsewhere ({status}). Check the endpoint's address.{said}")
    if status in (400, 413, 422) and _TOO_LONG.search(signs):
        return DialogError(f"The request is longer than “{model}” can read. Use fewer or shorter passages.{said}")
    return RefusedRequest(f"The server refused the request ({status}).{said}", words)


def _from_connection(error: openai.APIConnectionError, server: Server) -> EngineError:
    transport = error.__cause__
    cause = transport.__cause__ if transport is not None and transport.__cause__ is not None else transport
    where = address(server.base_url)
    match cause:
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return FatalError(f"{where} is not the address of a web server. It begins with http:// or https://.")
        case aiohttp.ClientSSLError():
            return FatalError(f"No secure connection to {where}: {_clip(str(cause), server)}")
        case aiohttp.ClientConnectorError():
            return TransientError(f"Nothing answers at {where}. Is the server running, and is the address right?")
        case aiohttp.ClientPayloadError():
            return TransientError(f"{where} cut its reply short.")
        case TimeoutError():
            return Overloaded(f"{where} did not answer in time.")
    return TransientError(f"{where} closed the connection before it had answered.")


def from_transport(error: aiohttp.ClientError, server: Server) -> EngineError:
    """For what the client library lets through: an answer that is not HTTP."""
    where = address(server.base_url)
    return TransientError(f"What answers at {where} does not speak HTTP: {_clip(str(error), server)}")


def own_words(body: Any, server: Server) -> str:
    """What the server itself says in an error body of any of the usual shapes."""
    if isinstance(body, list):
        body = body[0] if body else ""
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        body = inner if not isinstance(inner, Mapping) else inner.get("message") or inner.get("detail") or inner
    return _clip(body if isinstance(body, str) else str(body or ""), server)


def _clip(words: str, server: Server) -> str:
    if server.api_key:
        words = words.replace(server.api_key, "***")
    words = " ".join(words.split())
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The server's wish in seconds, from `retry-after-ms` or `Retry-After` (seconds or an HTTP date); None if unsaid."""
    if (wish := _number(headers.get("retry-after-ms"))) is not None:
        return wish / 1000
    said = headers.get("retry-after")
    if (wish := _number(said)) is not None:
        return wish
    try:
        date = parsedate_to_datetime(said or "")
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def _number(said: str | None) -> float | None:
    try:
        number = float(said or "")
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def address(base_url: str) -> str:
    """A base URL as it may be shown: without user, password or query."""
    parts = urlsplit(base_url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if host else base_url.partition("?")[0]
