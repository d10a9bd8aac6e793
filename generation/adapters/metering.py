"""What is asked of embedding models, on its way to the ledger.

Retrieval and judging share their embedders, and what is embedded once, among all conversations of a run: no request can
be put down to one of them. So they are collected here, and written down by whichever transaction comes next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from generation.engine.providers import Embedded
from generation.engine.providers.embedder import Note
from generation.frozen import FrozenModel
from generation.models import Call, Endpoint


@dataclass(frozen=True, slots=True)
class Metered:
    endpoint: int
    embedded: Embedded


class Meter:
    """Requests that are paid for and in no ledger yet. An event loop adds to it while a thread writes down the others."""

    def __init__(self) -> None:
        self._metered: list[Metered] = []

    def of(self, endpoint: int) -> Note:
        """What the endpoint's embedders are to tell."""
        return lambda embedded: self._metered.append(Metered(endpoint, embedded))

    def read(self) -> Sequence[Metered]:
        return tuple(self._metered)

    def settle(self, metered: Sequence[Metered]) -> None:
        """These, as they were read, are in the ledger."""
        del self._metered[: len(metered)]


def lines(
    metered: Sequence[Metered], *, project: int, run: int | None = None, frozen: Iterable[FrozenModel] = ()
) -> list[Call]:
    """Unsaved lines of the ledger: at the frozen price, or at today's of a model that nobody froze."""
    if not metered:
        return []
    endpoints = Endpoint.objects.in_bulk({one.endpoint for one in metered})
    prices = {(model.endpoint, model.model): model.prompt_price for model in frozen}
    for one in metered:
        named = one.endpoint, one.embedded.model
        if named not in prices:
            endpoint = endpoints.get(one.endpoint)
            prices[named] = endpoint.price_of(one.embedded.model)[0] if endpoint else Decimal(0)
    return [
        Call(
            project_id=project,
            run_id=run,
            endpoint=endpoints.get(one.endpoint),  # it may be gone by now
            operation="embedding",
            model=one.embedded.model,
            prompt_tokens=one.embedded.tokens,
            latency_ms=round(1000 * one.embedded.latency),
            tries=one.embedded.tries,
            cost=prices[one.endpoint, one.embedded.model] * one.embedded.tokens / 1_000_000,
        )
        for one in metered
    ]


def write_down(meter: Meter, *, project: int) -> None:
    """Put what no run has asked into the project's ledger."""
    metered = meter.read()
    Call.objects.bulk_create(lines(metered, project=project))
    meter.settle(metered)
