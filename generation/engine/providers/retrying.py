"""Trying again: what may pass by itself, and what a model may do better the next time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from generation.engine.errors import BadReply, TransientError
from generation.engine.protocols import ChatModel, ChatRequest, Completion

T = TypeVar("T")
NUDGE = 0.15
USUAL_TEMPERATURE = 0.7


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to give up. Waits double from `base` to `longest` seconds, each drawn anew between zero and that."""

    tries: int = 10
    """Requests in all, the first among them."""
    bad_replies: int = 3
    """How many replies may be unusable."""
    base: float = 0.5
    longest: float = 30.0
    patience: float = 300.0
    """Seconds to spend waiting between tries, in all. A server that asks for more is given up at once."""

    def wait(self, failures: int, retry_after: float | None) -> float:
        """Seconds before the next try. A server's wish is a lower bound, with jitter on top: all were told the same."""
        most = min(self.longest, self.base * 2.0 ** (failures - 1))
        drawn = random.uniform(0.0, most)  # noqa: S311 (no secret)
        return drawn if retry_after is None else retry_after + min(drawn, 1.0 + retry_after / 4)


USUAL = RetryPolicy()


class Attempts:
    """Counts the failures of one piece of work, and waits between tries."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._waited = 0.0
        self.tries = 1
        self.bad_replies = 0

    async def after(self, error: TransientError) -> None:
        """Wait before the next try. Raises `error` when there is to be none."""
        wait = self._policy.wait(self.tries, error.retry_after)
        if self.tries >= self._policy.tries or self._waited + wait > self._policy.patience:
            raise error
        self.tries += 1
        self._waited += wait
        await asyncio.sleep(wait)

    def after_bad_reply(self, error: BadReply) -> None:
        """Raises `error` when there is to be no next try. There is nothing to wait for."""
        self.bad_replies += 1
        if self.tries >= self._policy.tries or self.bad_replies >= self._policy.bad_replies:
            raise error
        self.tries += 1


async def retried(call: Callable[[], Awaitable[T]], policy: RetryPolicy) -> T:
    """The result of `call`, tried again after transient errors."""
    attempts = Attempts(policy)
    while True:
        try:
            return await call()
        except TransientError as error:
            await attempts.after(error)


class Retrying:
    """A model that is asked again. `tries` of the completion says how often it was asked in all.

    Tokens of unusable replies are paid for like any other, so they are counted into the completion that follows; or, when
    none does, stand on the BadReply that is raised.
    """

    def __init__(self, model: ChatModel, policy: RetryPolicy = USUAL) -> None:
        self._model = model
        self._policy = policy

    async def complete(self, request: ChatRequest) -> Completion:
        attempts, asked = Attempts(self._policy), request
        prompt_tokens = completion_tokens = 0
        while True:
            try:
                completion = await self._model.complete(asked)
                break
            except TransientError as error:
                await attempts.after(error)
            except BadReply as error:
                prompt_tokens = error.prompt_tokens = error.prompt_tokens + prompt_tokens
                completion_tokens = error.completion_tokens = error.completion_tokens + completion_tokens
                error.tries = attempts.tries
                attempts.after_bad_reply(error)
                asked = nudged(request, attempts.bad_replies)
        if attempts.tries == 1:
            return completion
        return replace(
            completion,
            tries=attempts.tries,
            prompt_tokens=completion.prompt_tokens + prompt_tokens,
            completion_tokens=completion.completion_tokens + completion_tokens,
        )


def nudged(request: ChatRequest, times: int) -> ChatRequest:
    """The request with another seed, and for JSON another temperature: the same one would bring the same bad reply."""
    seed = None if request.seed is None else request.seed + times
    if request.schema is None:
        return replace(request, seed=seed)
    temperature = USUAL_TEMPERATURE if request.temperature is None else request.temperature
    return replace(request, seed=seed, temperature=min(1.0, temperature + NUDGE * times))
