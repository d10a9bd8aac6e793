"""A worker process of the tests of keys: asks an endpoint's model a number of times, and prints how that went.

python -m tests.generation.asking ENDPOINT CALLS AT_ONCE
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter

import django

from generation.engine.errors import EngineError
from generation.engine.protocols import ChatRequest, Turn
from generation.engine.providers import ClientPool, RetryPolicy


async def ask(endpoint: int, calls: int, at_once: int) -> dict[str, int]:
    """How many calls were answered, and how many ended with each class of error."""
    from generation.adapters.speaking import Switchboard
    from generation.models import Endpoint

    row = await Endpoint.objects.prefetch_related("keys").aget(pk=endpoint)
    ended: Counter[str] = Counter()
    async with ClientPool() as pool:
        model = Switchboard([row], pool, at_once).model(row.pk, "test-model", RetryPolicy(patience=20))

        async def one(number: int) -> None:
            try:
                await model.complete(ChatRequest("test", (Turn("user", f"Say {number}."),)))
                ended["answered"] += 1
            except EngineError as error:
                ended[type(error).__name__] += 1

        await asyncio.gather(*map(one, range(calls)))
    return dict(ended)


def start(endpoint: int, calls: int, at_once: int = 8) -> subprocess.Popen[str]:
    from tests.workers import ROOT, addresses, os

    command = [sys.executable, "-m", "tests.generation.asking", str(endpoint), str(calls), str(at_once)]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | addresses(), stdout=subprocess.PIPE, text=True)


def answer_of(process: subprocess.Popen[str]) -> dict[str, int]:
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return json.loads(said)


if __name__ == "__main__":
    django.setup()
    print(json.dumps(asyncio.run(ask(*map(int, sys.argv[1:])))))
