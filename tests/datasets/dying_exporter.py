"""A worker that is killed while it writes an export, makes a report or carries on a bulk action.

python -m tests.datasets.dying_exporter write_export|make_report|carry_on_bulk ID
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import django


def main(work: str, pk: int) -> None:
    django.setup()
    from datasets import tasks
    from datasets.services.curating import bulk
    from datasets.services.publishing import exports, reckoning

    seen: list[Any] = []

    def dying(function: Any) -> Any:
        def wrapped(*args: Any, **options: Any) -> Any:
            seen.append(args)
            if len(seen) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **options)

        return wrapped

    bulk.CHUNK = exports.CHUNK = reckoning.CHUNK = 1
    exports.row_of = dying(exports.row_of)
    reckoning._entry = dying(reckoning._entry)
    bulk._decide = dying(bulk._decide)
    getattr(tasks, work)(pk)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
