"""How fast one bare AsyncOpenAI client can go: the yardstick that a run's speed and CPU are measured against.

    python -m bench.bare_loop --concurrency 32 --calls 1600 --latency 0.2

Without --base-url it starts the tests' model server for itself. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import time
from collections.abc import Iterator
from typing import Any

from openai import AsyncOpenAI, DefaultAioHttpClient

WARM_UP = 64
PASSAGE = (
    "Each device keeps its own log. A reset code is valid for ten minutes and is sent to the owner's address. " * 12
)
MESSAGES = [
    {"role": "system", "content": f"Answer from the passages.\n<context>\n{PASSAGE}\n</context>"},
    {"role": "user", "content": "How long is a reset code valid, and where is it sent?"},
]


async def bare_loop(
    base_url: str, concurrency: int, calls: int, *, api_key: str = "none", model: str = "test-model"
) -> dict[str, float]:
    """Make `calls` chat completions, `concurrency` at a time, after a warm-up that is not counted.

    Returns `calls_per_s` (calls over wall time) and `cpu_s_per_call` (user and system CPU seconds of this process).
    """
    async with AsyncOpenAI(
        base_url=base_url, api_key=api_key, max_retries=0, http_client=DefaultAioHttpClient()
    ) as client:
        await _calls(client, model, concurrency, min(WARM_UP, calls))
        cpu, begun = _cpu(), time.perf_counter()
        await _calls(client, model, concurrency, calls)
        wall, used = time.perf_counter() - begun, _cpu() - cpu
    return {"calls_per_s": calls / wall, "cpu_s_per_call": used / calls}


async def _calls(client: AsyncOpenAI, model: str, concurrency: int, calls: int) -> None:
    numbers = iter(range(calls))
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(_caller(client, model, numbers))


async def _caller(client: AsyncOpenAI, model: str, numbers: Iterator[int]) -> None:
    for number in numbers:
        messages: Any = [*MESSAGES, {"role": "user", "content": f"This is question {number}."}]
        reply = await client.chat.completions.create(model=model, messages=messages, temperature=0.7, max_tokens=300)
        assert reply.choices[0].message.content


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _measured(options: argparse.Namespace, base_url: str) -> dict[str, Any]:
    result = asyncio.run(bare_loop(base_url, options.concurrency, options.calls, api_key=options.key))
    ideal = options.concurrency / options.latency if options.latency else None
    rounded = {name: round(value, 6) for name, value in result.items()}
    ratio = {"ideal_ratio": round(result["calls_per_s"] / ideal, 3)} if ideal else {}
    return {"bench": "bare_loop", "concurrency": options.concurrency, "calls": options.calls, **rounded, **ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", help="a server to use instead of one of its own")
    parser.add_argument("--key", default="none")
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--calls", type=int, default=1600)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds a call takes at the server")
    options = parser.parse_args()
    if options.base_url:
        print(json.dumps(_measured(options, options.base_url)))
        return
    # Imported here, so that the yardstick itself needs nothing of the tests.
    from tests.fixtures_model_server import start_model_server

    server, process = start_model_server("--latency", str(options.latency))
    try:
        print(json.dumps(_measured(options, server.base_url)))
    finally:
        process.terminate()
        process.wait(5)


if __name__ == "__main__":
    main()
