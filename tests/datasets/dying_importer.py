"""A worker that is killed while it imports conversations, in the middle of the third row.

python -m tests.datasets.dying_importer ID
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import django


def main(pk: int) -> None:
    django.setup()
    from datasets import tasks
    from datasets.services.curating import imports

    seen: list[Any] = []
    usual = imports._judgement

    def dying(conversation: Any) -> Any:
        seen.append(conversation)
        if len(seen) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return usual(conversation)

    imports.CHUNK, imports._judgement = 1, dying
    tasks.carry_on_import(pk)


if __name__ == "__main__":
    main(int(sys.argv[1]))
