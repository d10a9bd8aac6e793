"""The engine as a library, without a web application: from texts to a file of conversations.

    async with model("http://localhost:8000/v1", "my-model") as speaker:
        maker = dialog_maker(speaker, prompt="You are a helpful support agent.")
        tally = await run(maker, briefs(["The pump is serviced every seven weeks."], 20), JsonLines("out.jsonl"))

Every part of a `DialogMaker` can be replaced by one's own: `docs/extending.md` shows how.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from datasets.schema import Dialog, Source

from .dialog import DialogMaker
from .instructions import Contextual
from .modifiers import WithContext
from .openings import Known
from .protocols import Brief, Failed, Job, Kept, Landing, Made, Maker, Orders, PersonaSketch, Sink, Speaker, Tally
from .providers import AdaptiveLimiter, ClientPool, Limited, OpenAIChat, Retrying, Server
from .respondents import Speaking
from .runner import Runner
from .sampling import plan
from .simulators import Correspondent


@asynccontextmanager
async def model(
    base_url: str, name: str, api_key: str = "", *, concurrency: int = 8, temperature: float | None = None
) -> AsyncIterator[Speaker]:
    """A model of an OpenAI-compatible server, for as long as the block lasts. It slows down and tries again by itself."""
    async with ClientPool() as pool:
        chat = OpenAIChat(pool, Server(base_url=base_url, api_key=api_key), name)
        yield Speaker(Retrying(Limited(chat, AdaptiveLimiter(concurrency))), temperature)


def dialog_maker(speaker: Speaker, prompt: str, **parts: Any) -> DialogMaker:
    """One model in every role, questions and answers from the texts of the briefs. `parts` replace parts of it."""
    maker = DialogMaker(
        instructions=Contextual(speaker),
        simulator=Correspondent(speaker),
        respondent=Speaking(speaker),
        prompt=prompt,
        modifier=WithContext(),
        openings=Known(),
    )
    return replace(maker, **parts)


def briefs(
    texts: Sequence[str],
    conversations: int,
    *,
    max_turns: int = 3,
    contexts: int = 1,
    personas: Sequence[PersonaSketch] = (),
    seed: int = 0,
) -> Iterator[Brief]:
    """What each conversation is asked to be: texts, personas and lengths dealt evenly, the same for the same seed."""
    sources = [
        Source(passage=number, document=number, title=f"Text {number}", text=text, start=0, end=len(text))
        for number, text in enumerate(texts, 1)
    ]
    slots = plan(
        conversations,
        seed=seed,
        max_turns=max_turns,
        passages=range(len(sources)),
        contexts=contexts,
        personas=range(len(personas)),
    )
    for slot in slots:
        dealt = tuple(sources[index] for index in slot.contexts)
        persona = None if slot.persona is None else personas[slot.persona]
        yield Brief(seed=slot.seed, turns=slot.turns, contexts=dealt, persona=persona, slot=slot.index)


async def run(maker: Maker, wanted: Iterable[Brief], sink: Sink, *, concurrency: int = 8) -> Tally:
    """Makes a dialog of each brief, so many at a time, and hands each to the sink soon after it is there.

    What was made, what failed and why are in the tally; an error that only a person can mend ends the run, as `fatal`.
    """

    async def produce(job: Job[Brief]) -> Made | Failed:
        return await maker.make(job.work)

    return await Runner(_List(wanted, sink, concurrency), produce).run()


class _List:
    """A desk over briefs in memory."""

    def __init__(self, wanted: Iterable[Brief], sink: Sink, concurrency: int) -> None:
        self._waiting = iter(wanted)
        self._returned: deque[Job[Brief]] = deque()
        self._number = 0
        self._sink = sink
        self._concurrency = concurrency

    async def claim(self, limit: int) -> Sequence[Job[Brief]]:
        jobs = [self._returned.popleft() for _ in range(min(limit, len(self._returned)))]
        fresh = islice(self._waiting, limit - len(jobs))
        for brief in fresh:
            jobs.append(Job(self._number, "", brief))
            self._number += 1
        return jobs

    async def land(self, landings: Sequence[Landing[Brief, Made]]) -> None:
        made = [(landing.job, landing.outcome) for landing in landings if isinstance(landing.outcome, Made)]
        kept = [
            Kept(str(job.key), outcome.dialog, outcome.verdict.overall if outcome.verdict else None)
            for job, outcome in made
        ]
        if kept:
            await self._sink.keep(kept)

    async def orders(self) -> Orders:
        return Orders("go", self._concurrency)

    async def release(self, jobs: Sequence[Job[Brief]]) -> None:
        self._returned.extend(jobs)


class JsonLines:
    """A sink that appends a line of JSON for each dialog to a file: `messages`, and beside them what is known of it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    async def keep(self, kept: Sequence[Kept]) -> None:
        lines = [json.dumps(_row(one), ensure_ascii=False) + "\n" for one in kept]
        await asyncio.to_thread(self._append, "".join(lines))

    def _append(self, text: str) -> None:
        """All of it or nothing that counts: a line that a crash cut off has no end of line."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


def _row(kept: Kept) -> dict[str, Any]:
    row: dict[str, Any] = {"messages": _messages(kept.dialog)}
    if kept.dialog.persona:
        row["persona"] = kept.dialog.persona
    if kept.overall is not None:
        row["score"] = kept.overall
    return row


def _messages(dialog: Dialog) -> list[dict[str, Any]]:
    said = [message.model_dump(mode="json", exclude_defaults=True) for message in dialog.messages]
    return [{"role": "system", "content": dialog.system_prompt}, *said] if dialog.system_prompt else said
