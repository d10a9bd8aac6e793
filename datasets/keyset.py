"""Paging by key: the hundredth page of a list costs what the first one costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """`before` and `after` are the keys to ask for the neighbouring pages with; None where there is none."""

    rows: list[Row]
    before: Any = None
    after: Any = None


def keyset(
    queryset: QuerySet[Row],
    field: str,
    *,
    after: Any = None,
    before: Any = None,
    size: int = 50,
    descending: bool = False,
) -> Page[Row]:
    """The rows after (or before) the given key of `field`, which must be unique in the queryset, in its order."""
    onward, back = ("lt", "gt") if descending else ("gt", "lt")
    order, against = (f"-{field}", field) if descending else (field, f"-{field}")
    if before is not None:
        rows = list(queryset.filter(**{f"{field}__{back}": before}).order_by(against)[: size + 1])
        more_before, more_after = len(rows) > size, bool(rows)
        rows = rows[:size][::-1]
    else:
        narrowed = queryset if after is None else queryset.filter(**{f"{field}__{onward}": after})
        rows = list(narrowed.order_by(order)[: size + 1])
        more_before, more_after = after is not None, len(rows) > size
        rows = rows[:size]
    return Page(
        rows,
        before=getattr(rows[0], field) if rows and more_before else None,
        after=getattr(rows[-1], field) if rows and more_after else None,
    )
