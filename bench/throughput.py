"""How close a run comes to what its model server allows, and what a call costs in CPU.

    python -m bench.throughput

A run of 800 conversations of up to 3 turns, with retrieval before every answer, on real PostgreSQL, Valkey and Qdrant
Edge with one real Celery worker process, against a model server that takes 200 ms a call. Prints one JSON line:

- `ideal_ratio`: calls a second over `concurrency / latency`, from the first claim to the last commit;
- `cpu_ratio`: CPU a call of the worker (all of its processes) over that of a bare loop on one AsyncOpenAI client;
- `calls_per_s_256`, `bare_calls_per_s_256`: at concurrency 256, the run with two worker processes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import Any

from bench.bare_loop import bare_loop
from bench.stage import Stage, staged

LATENCY = 0.2


def measure(stage: Stage, *, conversations: int, concurrency: int, processes: int) -> dict[str, float]:
    """One run, from a warm worker: calls a second, and CPU seconds a call."""
    from tests.workers import working

    with working(queues="press", processes=processes) as worker:
        stage.warm_up(processes)
        cpu = worker.cpu_seconds()
        run = stage.run(conversations=conversations, concurrency=concurrency, pullers=processes)
        used = worker.cpu_seconds() - cpu
    seconds = (run.finished - run.started).total_seconds()
    # The server's questions are made of few patterns: some are near-duplicates of others, and such a slot fails.
    assert run.slots_done > 0.95 * conversations, run.reason
    return {"calls_per_s": run.calls / seconds, "cpu_s_per_call": used / run.calls, "calls": run.calls}


def bare(stage: Stage, concurrency: int, calls: int) -> dict[str, float]:
    return asyncio.run(bare_loop(stage.server.base_url, concurrency, calls))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=800)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--skip-256", action="store_true", help="only the first measurement")
    options = parser.parse_args()
    with staged("--latency", str(LATENCY)) as stage:
        begun = time.perf_counter()
        loop = bare(stage, options.concurrency, 1600)
        ours = measure(stage, conversations=options.conversations, concurrency=options.concurrency, processes=1)
        ideal = options.concurrency / LATENCY
        result: dict[str, Any] = {
            "bench": "throughput",
            "conversations": options.conversations,
            "concurrency": options.concurrency,
            "calls": ours["calls"],
            "calls_per_s": round(ours["calls_per_s"], 1),
            "ideal_ratio": round(ours["calls_per_s"] / ideal, 3),
            "bare_ideal_ratio": round(loop["calls_per_s"] / ideal, 3),
            "cpu_ms_per_call": round(1000 * ours["cpu_s_per_call"], 3),
            "bare_cpu_ms_per_call": round(1000 * loop["cpu_s_per_call"], 3),
            "cpu_ratio": round(ours["cpu_s_per_call"] / loop["cpu_s_per_call"], 2),
        }
        if not options.skip_256:
            wide_loop = bare(stage, 256, 6400)
            wide = measure(stage, conversations=2 * options.conversations, concurrency=256, processes=2)
            result["calls_per_s_256"] = round(wide["calls_per_s"], 1)
            result["bare_calls_per_s_256"] = round(wide_loop["calls_per_s"], 1)
        result["seconds"] = round(time.perf_counter() - begun, 1)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
