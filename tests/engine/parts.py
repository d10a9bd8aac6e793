"""Small parts that the engine's tests are put together from: they stand at the engine's own seams."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from datasets.schema import Source
from generation.engine.dialog import DialogMaker
from generation.engine.evaluators import ModelJudge
from generation.engine.instructions import Contextual, Simple
from generation.engine.modifiers import Plain
from generation.engine.protocols import Brief, ChatRequest, Completion, Job, Landing, Made, Orders, Speaker
from generation.engine.respondents import Speaking
from generation.engine.simulators import Correspondent


def source(passage: int, text: str = "", *, score: float | None = None, title: str = "Handbook") -> Source:
    text = text or f"Passage {passage} says something."
    return Source(passage=passage, document=1, title=title, text=text, start=0, end=len(text), score=score)


def reply_to(request: ChatRequest) -> str:
    """What a well-behaved model says, different for every length of conversation."""
    length = len(request.turns)
    if request.operation == "instruction":
        return json.dumps({"instructions": ["How do I reset it?"]})
    if request.operation == "judge":
        assert request.schema is not None
        return verdict(dict.fromkeys(request.schema["properties"]["scores"]["properties"], 0.5))
    return f"{request.operation} {length}"


def verdict(scores: dict[str, float], *, first_bad: object = "none", feedback: str = "") -> str:
    """What a judge replies."""
    marks = {name: {"feedback": "fair", "score": score} for name, score in scores.items()}
    return json.dumps({"scores": marks, "first_bad": first_bad, "feedback": feedback})


@dataclass
class Model:
    """A chat model that says what `say` returns, or raises it, and remembers what it was asked."""

    say: Callable[[ChatRequest], str | Exception] = reply_to
    latency: float = 0.0
    asked: list[ChatRequest] = field(default_factory=list)
    finish: str = "stop"
    name: str = "model-1"

    async def complete(self, request: ChatRequest) -> Completion:
        self.asked.append(request)
        await asyncio.sleep(self.latency)
        said = self.say(request)
        if isinstance(said, Exception):
            raise said
        return Completion(said, self.name, 10, 5, 0.25, self.finish)

    def of(self, operation: str) -> list[ChatRequest]:
        return [request for request in self.asked if request.operation == operation]


def in_turn(operation: str, *replies: str | Exception) -> Callable[[ChatRequest], str | Exception]:
    """The `replies` one after the other for an operation, the usual thereafter and for all others."""
    queue = deque(replies)
    return lambda request: queue.popleft() if queue and request.operation == operation else reply_to(request)


@dataclass
class Library:
    """A retriever that finds `hits` for queries that hold a key of them."""

    hits: dict[str, tuple[Source, ...]]
    queries: list[str] = field(default_factory=list)

    async def retrieve(self, query: str) -> tuple[Source, ...]:
        self.queries.append(query)
        return next((found for key, found in self.hits.items() if key in query), ())


def maker(model: Model, **changes: object) -> DialogMaker:
    """A DialogMaker whose every role is played by `model`; ungrounded unless told otherwise."""
    speaker = Speaker(model, temperature=0.7)
    parts: dict[str, object] = {
        "instructions": Simple(speaker),
        "simulator": Correspondent(speaker),
        "respondent": Speaking(speaker),
        "prompt": "You help.",
        "modifier": Plain(),
    }
    return DialogMaker(**{**parts, **changes})  # type: ignore[arg-type]


def contextual(model: Model) -> Contextual:
    return Contextual(Speaker(model))


def judge(model: Model) -> ModelJudge:
    return ModelJudge(Speaker(model))


def jobs(count: int) -> list[Job[Brief]]:
    return [Job(slot, f"claim-{slot}", Brief(seed=slot, turns=1)) for slot in range(count)]


@dataclass
class MemoryDesk:
    """A desk over a list: what it gave out, what came back, and in which groups."""

    pending: deque[Job[Brief]]
    in_flight: int = 4
    state: str = "go"
    landing_time: float = 0.0
    landed: list[Landing[Brief, Made]] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    released: list[Job[Brief]] = field(default_factory=list)
    claimed: int = 0
    failures: deque[Exception | None] = field(default_factory=deque)
    """What the next landings raise."""

    async def claim(self, limit: int) -> Sequence[Job[Brief]]:
        await asyncio.sleep(0)
        given = [self.pending.popleft() for _ in range(min(limit, len(self.pending)))]
        self.claimed += len(given)
        return given

    async def land(self, landings: Sequence[Landing[Brief, Made]]) -> None:
        await asyncio.sleep(self.landing_time)
        error = self.failures.popleft() if self.failures else None
        if error:
            raise error
        self.groups.append(len(landings))
        self.landed.extend(landings)

    async def orders(self) -> Orders:
        return Orders(self.state, self.in_flight)  # type: ignore[arg-type]

    async def release(self, jobs: Sequence[Job[Brief]]) -> None:
        self.released.extend(jobs)

    @property
    def slots(self) -> list[int]:
        return sorted(landing.job.key for landing in self.landed)
