"""What work has cost: the ledger's lines, and the counters of the order that they were made for."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db.models import F

from datasets.schema import Step
from generation.models import Call
from generation.models.work import Costed


def charge(order: Costed, calls: Sequence[Call], **more: int) -> None:
    """Write the lines and add them to the order's counters, and what there is `more` to count, as in `made=2`."""
    Call.objects.bulk_create(calls)
    added: dict[str, Any] = {
        "calls": len(calls),
        "prompt_tokens": sum(call.prompt_tokens for call in calls),
        "completion_tokens": sum(call.completion_tokens for call in calls),
        "cost": sum((call.cost for call in calls), Decimal(0)),
        **more,
    }
    type(order)._default_manager.filter(pk=order.pk).update(
        **{name: F(name) + number for name, number in added.items()}
    )


def call_columns(step: Step, *, asked: str) -> dict[str, Any]:
    """What a Call row holds of a step, whoever pays for it.

    The model is the one that the server says; of a reply that was thrown away, the one that was `asked`.
    """
    return {
        "operation": step.operation,
        "model": step.model or asked,
        "prompt_tokens": step.prompt_tokens,
        "completion_tokens": step.completion_tokens,
        "latency_ms": step.latency_ms,
        "tries": step.tries,
        "finish": step.finish,
    }
