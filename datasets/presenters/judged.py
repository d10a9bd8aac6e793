"""Judgements as a page shows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from datasets.models import Judgement
from datasets.schema import Dialog, Score


@dataclass(frozen=True)
class JudgementShown:
    """A judgement, and the turn whose answer it wants mended first; None where it names none."""

    row: Judgement
    mend: int | None

    @cached_property
    def scores(self) -> list[Score]:
        return [Score.model_validate(score) for score in self.row.scores]


def judgements_shown(rows: Iterable[Judgement], dialog: Dialog) -> list[JudgementShown]:
    return [JudgementShown(row, _turn(dialog, row.first_bad)) for row in rows]


def _turn(dialog: Dialog, message: int | None) -> int | None:
    """In which turn a message was said, counted from 1."""
    if message is None or message >= len(dialog.messages):
        return None
    return sum(one.role == "user" for one in dialog.messages[:message]) or None
