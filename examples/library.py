"""Conversations from a list of texts, without the web application: `python -m examples.library ADDRESS MODEL OUT`."""

import asyncio
import os
import sys

from generation.engine.library import JsonLines, briefs, dialog_maker, model, run

TEXTS = ["The pump is serviced every seven weeks.", "A guest code opens the door for 30 days."]


async def main(address: str, name: str, out: str) -> None:
    async with model(address, name, os.environ.get("OPENAI_API_KEY", "")) as speaker:
        maker = dialog_maker(speaker, prompt="You are a helpful support agent.")
        tally = await run(maker, briefs(TEXTS, 10, max_turns=2), JsonLines(out))
        print(f"{tally.made} made, {tally.failed} failed", tally.fatal)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
