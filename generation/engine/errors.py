"""What can go wrong between the press and a model, classed by whose it is to mend."""

from __future__ import annotations


class EngineError(Exception):
    """Base of every error that the engine raises on purpose. `str(error)` is one sentence for people."""


class FatalError(EngineError):
    """The user's to fix: a bad key, an unknown model, a request that the server refuses. The run stops and says so."""


class OutOfCalls(FatalError):
    """Every key has made the calls that its limits allow. `retry_after` seconds from now one may be used again."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TransientError(EngineError):
    """May pass by itself: 429, 5xx, a timeout, a cut connection. `retry_after` is the server's wish in seconds."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BadReply(EngineError):
    """The model answered, but not with what was asked: empty, cut, or not the promised JSON. Costs a retry.

    The tokens are those of all replies that were thrown away with it: they are paid for like any other. `tries` says
    how many requests that took, `finish_reason` why the last reply ended.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    tries: int = 1
    finish_reason: str = ""


class DialogError(EngineError):
    """This dialog cannot be made, others may: all tries are used up."""


# -- what model servers say no with ---------------------------------------------------------------------------------------


class Overloaded(TransientError):
    """The server wants less: 429, 5xx, or no answer in time. What a concurrency limit listens to."""


class RateLimited(Overloaded):
    """429: the key, or whoever it belongs to, has asked too often."""


class KeyRefused(FatalError):
    """The server knows the key and does not want it, or does not know it (401, 403), or its account is empty (402)."""


class RefusedRequest(FatalError):
    """The server refused the request as such (400, 422). `words` are its own."""

    def __init__(self, message: str, words: str) -> None:
        super().__init__(message)
        self.words = words
