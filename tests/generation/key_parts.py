"""Short ways to make what the tests of shared keys need."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from redis import Redis

from datasets import pulse
from datasets.models import Project
from generation.adapters import keyring
from generation.adapters.keyring import SharedKeys
from generation.engine.providers import KeyRules
from generation.models import Endpoint, EndpointKey

T = TypeVar("T")
committed = pytest.mark.django_db(transaction=True)
"""For what threads and processes read and write."""


def forget_all_keys() -> Redis:
    """Redis, without what earlier tests left of keys with the same numbers."""
    board = pulse.board()
    if left := list(board.scan_iter("endpoint:*")):
        board.delete(*left)
    return board


def make_endpoint(project: Project, base_url: str = "http://127.0.0.1:9/v1") -> Endpoint:
    return project.endpoints.create(name="Ours", preset="custom", base_url=base_url, chat_model="test-model")


def key(endpoint: Endpoint, secret: str, **values: object) -> EndpointKey:
    row = EndpointKey.seal(endpoint, secret)
    for name, value in values.items():
        setattr(row, name, value)
    row.save()
    return row


def ring(endpoint: Endpoint, rules: KeyRules = keyring.RULES, heard: list[str] | None = None) -> SharedKeys:
    return SharedKeys(endpoint, ([] if heard is None else heard).append, rules)


def run(work: Callable[..., Awaitable[T]], *rings: SharedKeys) -> T:
    """What `work` returns of rings, which are closed after it."""

    async def worked() -> T:
        try:
            return await work(*rings)
        finally:
            for one in rings:
                await one.close()

    return asyncio.run(worked())


async def lent(of: SharedKeys, times: int) -> list[str]:
    return [(await of.lend(0)).secret for _ in range(times)]
