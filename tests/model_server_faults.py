"""What the tests' model server can be told to do wrong, and when."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

Kind = Literal[
    "status",  # answer with `status` and an error body; `retry_after` adds the header
    "cut",  # close the connection in the middle of the body
    "drop",  # close the connection before any answer
    "malformed",  # a 200 whose body is not JSON
    "bad_json",  # a structured reply that is not valid JSON
    "empty",  # a reply without content
    "length",  # a reply cut by finish_reason=length
    "hang",  # never answer
    "slow",  # answer `delay` seconds later than usual
]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(slots=True)
class Fault:
    """One thing to do wrong, to a share of the requests, until `count` requests or `seconds` have passed."""

    kind: Kind
    fraction: float = 1.0
    count: int | None = None
    seconds: float | None = None
    path: str = ""
    """Only requests whose path ends so; empty is every path."""
    key: str = ""
    """Only requests with this API key; empty is every key."""
    status: int = 429
    message: str = ""
    code: str | None = None
    retry_after: str | float | None = None
    """The Retry-After header, seconds or an HTTP date, as is."""
    retry_after_ms: float | None = None
    delay: float = 1.0
    since: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"There is no fault {self.kind!r}; there are: {', '.join(KINDS)}.")

    def strikes(self, path: str, key: str) -> bool:
        """Whether this request is hit; counts it if so."""
        if self.count == 0 or not path.endswith(self.path) or self.key not in ("", key):
            return False
        if self.seconds is not None and time.monotonic() - self.since > self.seconds:
            return False
        if self.fraction < 1.0 and random.random() >= self.fraction:
            return False
        if self.count is not None:
            self.count -= 1
        return True

    def headers(self) -> dict[str, str]:
        wishes = {"Retry-After": self.retry_after, "retry-after-ms": self.retry_after_ms}
        return {name: str(wish) for name, wish in wishes.items() if wish is not None}


@dataclass(slots=True)
class Settings:
    """How the server behaves. Everything can be changed while it runs, through POST /control."""

    latency: float = 0.0
    """Seconds before every reply of a model."""
    keys: tuple[str, ...] | None = None
    """The API keys that pass; None lets everybody in."""
    models: tuple[str, ...] | None = None
    """The models that exist; None is all of them."""
    refuses: tuple[str, ...] = ()
    """Request parameters that are answered by a 400; `json_schema` and `json_object` are response formats."""
    ignores_format: bool = False
    """Answer in prose whatever `response_format` says, as some servers do."""
    words: int = 60
    """About how many words a reply has."""
    reasoning: str = ""
    """The field of the message in which a few words of reasoning come, e.g. reasoning_content; empty is none."""
    content_parts: bool = False
    """Give the content as a list of typed parts, with the reasoning as one of them."""
    dimension: int = 64
    """Length of embedding vectors."""
    faults: tuple[Fault, ...] = ()

    def change(self, changes: dict[str, Any]) -> None:
        """Set what `changes` names, and leave the rest. Raises ValueError on an unknown name."""
        known = {one.name for one in fields(self)}
        if unknown := sorted(set(changes) - known):
            raise ValueError(f"There is no setting {', '.join(unknown)}; there are: {', '.join(sorted(known))}.")
        for name, value in changes.items():
            if name == "faults":
                value = tuple(Fault(**one) for one in value)
            setattr(self, name, value)

    def fault(self, path: str, key: str) -> Fault | None:
        return next((one for one in self.faults if one.strikes(path, key)), None)
