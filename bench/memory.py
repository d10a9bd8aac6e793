"""Whether a worker's memory stays flat over a long run.

    python -m bench.memory

A run of 5,000 conversations of one turn, judged, with one worker process against a quick model server. Prints one JSON
line with the worker's memory (all of its processes, unique set size in MB) at each fifth of the run, and how much the last
is above the first.
"""

from __future__ import annotations

import argparse
import json
import time

from bench.stage import staged


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, default=64)
    options = parser.parse_args()
    with staged("--latency", "0.02") as stage:
        from tests.workers import working

        begun = time.perf_counter()
        with working(queues="press", processes=1) as worker:
            stage.warm_up(1)
            run = stage.launch(
                conversations=options.conversations,
                concurrency=options.concurrency,
                max_turns=1,
                judge=True,
                questions={"distinct": False},
            )
            marks: list[float] = []
            while run.state == run.State.RUNNING:
                time.sleep(0.2)
                run.refresh_from_db()
                if run.slots_done >= (len(marks) + 1) * options.conversations // 5:
                    marks.append(round(worker.memory() / 1e6, 1))
        assert run.slots_done == options.conversations, run.reason
        result = {
            "bench": "memory",
            "conversations": options.conversations,
            "mb_at_each_fifth": marks,
            "growth_mb": round(marks[-1] - marks[0], 1),
            "seconds": round(time.perf_counter() - begun, 1),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
