"""A reader that dies at a chosen moment: in a test by an exception that nothing catches, or as a program by kill -9.

python -m tests.datasets.dying_reader FILE_ID STAGE
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import django


class Death(BaseException):
    """What no reader expects, as it does not expect kill -9."""


def die() -> None:
    raise Death


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def doomed(stage: str, death: Callable[[], None]) -> tuple[object, str, Callable[..., Any]]:
    """Where to put which function, so that a reader dies at that stage."""
    from datasets.index import PassageIndex
    from datasets.services.collecting import ingest, intake
    from datasets.services.collecting.intake import IndexedIntake, Intake

    copy_passages = Intake._write_passages
    write_passages, upsert, delete_stale = IndexedIntake._write_passages, PassageIndex.upsert, PassageIndex.delete_stale
    slices: list[int] = []

    def at_once(*args: Any, **options: Any) -> Any:
        death()

    def before_the_third_slice(self: IndexedIntake, rows: list, **options: Any) -> None:
        slices.append(len(rows))
        if len(slices) == 3:
            death()
        write_passages(self, rows, **options)

    def before_the_third_copy(self: Intake, rows: list, **options: Any) -> None:
        slices.append(len(rows))
        if len(slices) == 3:
            death()
        copy_passages(self, rows, **options)

    async def after_the_points(self: PassageIndex, *args: Any) -> None:
        await upsert(self, *args)
        slices.append(1)
        if len(slices) == 2:
            death()

    async def after_the_stale_points(self: PassageIndex, **options: Any) -> None:
        await delete_stale(self, **options)
        death()

    return {
        "before reading": (ingest, "read", at_once),
        "between documents and passages": (IndexedIntake, "_write_passages", at_once),
        "between two slices": (IndexedIntake, "_write_passages", before_the_third_slice),
        "between two slices of a copy": (Intake, "_write_passages", before_the_third_copy),
        "between points and commit": (PassageIndex, "upsert", after_the_points),
        "before stale rows are deleted": (intake, "delete_some", at_once),
        "between stale points and commit": (PassageIndex, "delete_stale", after_the_stale_points),
    }[stage]


STAGES = (
    "before reading",
    "between documents and passages",
    "between two slices",
    "between points and commit",
    "before stale rows are deleted",
    "between stale points and commit",
)


def main(file_id: int, stage: str) -> None:
    django.setup()
    from datasets.services.collecting.ingest import ingest

    owner, name, function = doomed(stage, kill_myself)
    setattr(owner, name, function)
    ingest(file_id)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
