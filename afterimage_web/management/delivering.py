"""What a run has made, written to files by the command that started it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from django.core.management.base import CommandError

from datasets.filters import ConversationFilter
from datasets.formats import Options
from datasets.formats.splitting import Split, Together
from datasets.models import Export, Report
from datasets.presenters.report import file_of
from datasets.services.publishing import exports, reports
from datasets.services.publishing.splitting import TOGETHER, TRAIN, VALIDATION, unpack
from generation.models import Run

Say = Callable[[str], None]
NARROWER: tuple[Together, ...] = ("documents", "passages", "nothing")
"""What rows that stay together have in common, the fewest last."""


def write_rows(run: Run, path: Path, format: str, options: Options, say: Say) -> int:
    """Returns how many. Raises CommandError, or Refused, when there are none."""
    export = _ready(_asked(run, format, options, None))
    _tell_skips(export, path, say)
    with export.file.open("rb") as rows, path.open("wb") as target:
        shutil.copyfileobj(rows, target)
    return export.rows_written


def write_split(run: Run, train: Path, held: Path, format: str, options: Options, split: Split, say: Say) -> Export:
    """As many rows for validation as the split wants. Rows about the same document are on one side if that leaves at
    least half of what is wanted, else those about the same passage, else `say` is told that relatives may be on both.
    """
    for together in NARROWER:
        export = _asked(run, format, options, replace(split, together=together))
        reached = 2 * export.rows_held >= split.wanted(export.rows_written)
        if export.error != exports.INSEPARABLE and (reached or together == NARROWER[-1]):
            break
    _tell_skips(_ready(export), train, say)
    if together != NARROWER[0]:
        say(f"{held}: too many rows are related for a share of {split.validation:g}. {TOGETHER[together]}")
    unpack(Path(export.file.path), {TRAIN: train, VALIDATION: held})
    return export


def write_report(run: Run, path: Path) -> None:
    """The report on what the run has made, as one file that shows it by itself. Raises CommandError, or Refused."""
    report = reports.start_report(project=run.project, actor=None, filter=ConversationFilter(batch=run.batch_id))
    reports.make_report(report_id=report.pk)
    report.refresh_from_db()
    if report.state != Report.State.DONE:
        raise CommandError(report.error)
    path.write_text(file_of(report), encoding="utf-8")


def _tell_skips(export: Export, path: Path, say: Say) -> None:
    for reason, count in export.skips.items():
        say(f"{path}: {count} conversation{'s are' if count > 1 else ' is'} left out. {reason}")


def _asked(run: Run, format: str, options: Options, split: Split | None) -> Export:
    export = exports.start_export(
        project=run.project,
        actor=None,
        filter=ConversationFilter(batch=run.batch_id),
        format=format,
        options=options,
        split=split,
    )
    exports.write_export(export_id=export.pk)
    export.refresh_from_db()
    return export


def _ready(export: Export) -> Export:
    if export.state != Export.State.READY:
        raise CommandError(export.error)
    return export
