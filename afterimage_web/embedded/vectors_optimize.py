"""Copy a shard and optimise the copy: `python -m afterimage_web.embedded.vectors_optimize SOURCE TARGET`.

A process of its own, because optimising holds Python's global lock for as long as it takes (16 s for 20,000 points of 384
dimensions). SOURCE is never opened, only its files are read. A copy made while they changed is worthless, and the parent
throws it away.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
from pathlib import Path

import qdrant_edge as edge

OPTIMIZED, NOTHING_TO_DO = 0, 3
BLOCK = 1 << 16
ZEROS = bytes(BLOCK)
PR_SET_PDEATHSIG = 1


def main(source: Path, target: Path) -> int:
    """OPTIMIZED or NOTHING_TO_DO."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.nice(10)
    shutil.copytree(source, target, copy_function=copy_sparse)
    shard = edge.EdgeShard.load(str(target))
    improved = shard.optimize()
    shard.flush()
    shard.close()
    return OPTIMIZED if improved else NOTHING_TO_DO


def copy_sparse(source: str, target: str) -> None:
    """Copy a file and keep its holes: Edge lays out 130 MB for an empty shard, nearly all of it holes."""
    with open(source, "rb") as original, open(target, "wb") as copy:
        while block := original.read(BLOCK):
            if block == ZEROS[: len(block)]:
                copy.seek(len(block), os.SEEK_CUR)
            else:
                copy.write(block)
        copy.truncate()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
