"""How close a run that judges and improves comes to what its model server allows.

    python -m bench.improving

A run of 300 conversations of up to 3 turns, each judged, and tried again up to twice while it scores under 0.72, against a
model server that takes 200 ms a call, with one worker process. The server scores at random, so that most are tried again.
Prints one JSON line: `ideal_ratio` is calls a second over `concurrency / latency`, from the first claim to the last commit.
"""

from __future__ import annotations

import argparse
import json
import time

from bench.stage import staged

LATENCY = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=300)
    parser.add_argument("--concurrency", type=int, default=32)
    options = parser.parse_args()
    with staged("--latency", str(LATENCY)) as stage:
        from datasets.models import Version
        from tests.workers import working

        begun = time.perf_counter()
        wanted = {"conversations": options.conversations, "concurrency": options.concurrency}
        with working(queues="press", processes=1):
            stage.warm_up(1)
            run = stage.run(**wanted, judge=True, improve={"attempts": 2, "below": 0.72})
        # The server's questions are made of few patterns: some are near-duplicates of others, and such a slot fails.
        assert run.slots_done > 0.95 * options.conversations, run.reason
        versions = Version.objects.filter(conversation__batch=run.batch_id).count()
        seconds = (run.finished - run.started).total_seconds()
        result = {
            "bench": "improving",
            **wanted,
            "made": run.slots_done,
            "versions": versions,
            "calls": run.calls,
            "calls_per_s": round(run.calls / seconds, 1),
            "ideal_ratio": round(run.calls / seconds / (options.concurrency / LATENCY), 3),
            "seconds": round(time.perf_counter() - begun, 1),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
