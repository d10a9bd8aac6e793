"""Database connections that threads beside an event loop open: who opens one closes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections

Given = ParamSpec("Given")
Result = TypeVar("Result")


async def in_a_thread(work: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Result:
    """In one whose connection nobody else keeps alive, or mends after the database was away."""

    def and_close() -> Result:
        try:
            return work(*given, **named)
        finally:
            connections.close_all()

    return await sync_to_async(and_close)()


async def closing(work: Awaitable[Result]) -> Result:
    """The connection of the database thread does not outlive the work."""
    try:
        return await work
    finally:
        await sync_to_async(connections.close_all)()
