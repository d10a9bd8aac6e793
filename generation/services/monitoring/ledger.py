"""The ledger as a file: one line a call, the newest first, in chunks, so that a million of them need no memory."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from generation.models import Call
from generation.services.monitoring.metrics import Scope

CHUNK = 2_000
COLUMNS = (
    "id", "created", "run", "slot", "endpoint", "operation", "model", "prompt_tokens", "completion_tokens",
    "latency_ms", "tries", "finish", "cost",
)  # fmt: skip
FIELDS = (
    "pk", "created", "run_id", "slot", "endpoint__name", "operation", "model", "prompt_tokens", "completion_tokens",
    "latency_ms", "tries", "finish", "cost",
)  # fmt: skip


class _Line:
    """What `csv` writes to: it hands back what it is given."""

    def write(self, text: str) -> str:
        return text


def calls_in(scope: Scope) -> QuerySet[Call]:
    narrower = {"run": scope.run, "endpoint": scope.endpoint, "model": scope.model}
    chosen = {name: value for name, value in narrower.items() if value}
    return Call.objects.filter(
        project=scope.project, created__gte=scope.since, created__lt=scope.until, **chosen
    ).order_by("-pk")


def csv_of(scope: Scope) -> Iterator[str]:
    """Lines of a CSV file, with a head. Times are UTC, costs in the currency of the endpoints' prices."""
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    calls, last = calls_in(scope), None
    while rows := list((calls if last is None else calls.filter(pk__lt=last)).values_list(*FIELDS)[:CHUNK]):
        last = rows[-1][0]
        yield "".join(writer.writerow(_cells(row)) for row in rows)


def _cells(row: Iterable[Any]) -> Iterator[Any]:
    for value in row:
        if isinstance(value, str):
            # A spreadsheet would take it for a formula.
            yield f"'{value}" if value[:1] in "=+-@\t\r" and value else value
        else:
            yield value.isoformat() if isinstance(value, datetime) else value
