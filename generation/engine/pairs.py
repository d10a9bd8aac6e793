"""Preference pairs: a real dialog, whose last answer is given in several ways, each judged.

The ways are those of the strategies: by temperature, by what the prompt asks for besides, by model, and combined.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, cycle, islice

from datasets.schema import Message

from .calls import Calls
from .dialog import DialogMaker, failure
from .errors import DialogError, EngineError, FatalError
from .prompts import ungrounded
from .prompts.pairs import DEGRADED, ENHANCED, nudged
from .protocols import Attempt, Brief, Made, ModifiedPrompt, Outcome, Speaker
from .recipe import Pairs
from .respondents import Speaking

log = logging.getLogger(__name__)

USUAL = 0.7
"""Temperature where it is not what answers differ by."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way of giving the last answer. `nudge` is asked of it besides."""

    label: str
    speaker: Speaker
    nudge: str = ""


def ways_of(product: Pairs, first: Speaker, second: Speaker | None = None) -> tuple[Way, ...]:
    """As many as answers are compared, each under a label of its own."""
    ways = {"temperature": _by_temperature, "prompt": _by_prompt}
    if product.strategy in ways:
        made: Iterator[Way] = ways[product.strategy](first, product.answers)
    elif product.strategy == "model":
        if second is None:
            raise FatalError("Answers of two models are to be compared, and there is no second model.")
        made = cycle([Way("first", first), Way("second", second)])
    else:
        made = _combined(first, second)
    return tuple(_distinct(islice(made, product.answers)))


def _by_temperature(speaker: Speaker, answers: int) -> Iterator[Way]:
    """Evenly from 0.1 to 0.9."""
    for number in range(answers):
        yield _at(speaker, 0.1 + 0.8 * number / (answers - 1))


def _at(speaker: Speaker, temperature: float) -> Way:
    return Way(f"temperature_{temperature:.2f}", replace(speaker, temperature=round(temperature, 4)))


def _by_prompt(speaker: Speaker, answers: int) -> Iterator[Way]:
    """One of each, and whatever more is wanted is enhanced."""
    usual = replace(speaker, temperature=USUAL)
    yield Way("enhanced", usual, ENHANCED)
    yield Way("degraded", usual, DEGRADED)
    while True:
        yield Way("enhanced", usual, ENHANCED)


def _combined(first: Speaker, second: Speaker | None) -> Iterator[Way]:
    yield Way("enhanced", replace(first, temperature=0.2), ENHANCED)
    yield Way("degraded", replace(first, temperature=0.9), DEGRADED)
    if second:
        yield Way("second", replace(second, temperature=USUAL))
    yield from (_at(first, temperature) for temperature in cycle((0.4, 0.6, 0.8)))


def _distinct(ways: Iterator[Way]) -> Iterator[Way]:
    """`enhanced`, `degraded`, `enhanced_2` and so on."""
    seen: dict[str, count[int]] = {}
    for way in ways:
        number = next(seen.setdefault(way.label, count(1)))
        yield way if number == 1 else replace(way, label=f"{way.label}_{number}")


@dataclass(frozen=True, slots=True)
class PairMaker:
    """Makes dialogs that end in several answers to the same last question: one attempt an answer, the best one counts."""

    dialogs: DialogMaker
    ways: tuple[Way, ...]

    async def make(self, brief: Brief) -> Outcome:
        """Never raises but for cancellation."""
        calls = Calls(brief.seed)
        try:
            if brief.turns < 1:
                raise DialogError("A conversation needs at least one turn.")
            attempts = await self._answers(brief, await self._prefix(brief, calls), calls)
        except Exception as error:
            return failure(error, calls)
        return Made(attempts, calls.paid)

    async def _prefix(self, brief: Brief, calls: Calls) -> tuple[Message, ...]:
        """The dialog up to its last question."""
        said = await self.dialogs.open(brief, calls)
        if brief.turns == 1:
            return said
        said = await self.dialogs.converse(replace(brief, turns=brief.turns - 1), said, calls)
        own = ModifiedPrompt(ungrounded(self.dialogs.prompt))
        return (*said, await self.dialogs.question(brief, said, own, calls))

    async def _prompt(self, brief: Brief, said: Sequence[Message]) -> ModifiedPrompt:
        asked = [message for message in said if message.role == "user"]
        query = asked[-1] if self.dialogs.every_answer else asked[0]
        return await self.dialogs.modifier.modify(self.dialogs.prompt, brief, query.content)

    async def _answers(self, brief: Brief, said: tuple[Message, ...], calls: Calls) -> tuple[Attempt, ...]:
        """All at once, from the same passages. One that cannot be had costs itself, as long as two are left."""
        prompt = await self._prompt(brief, said)
        tried = [
            self._answer(brief, said, prompt, way, calls.fork(len(said), branch))
            for branch, way in enumerate(self.ways, 1)
        ]
        results = await asyncio.gather(*tried, return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        answered = tuple(result for result in results if isinstance(result, Attempt))
        grave = next((error for error in errors if isinstance(error, FatalError)), None)
        if grave or (errors and len(answered) < 2):
            raise grave or errors[0]
        for error in errors:
            if not isinstance(error, EngineError):
                raise error
            log.info("An alternative answer was given up: %s", error)
        return answered

    async def _answer(
        self, brief: Brief, said: tuple[Message, ...], prompt: ModifiedPrompt, way: Way, calls: Calls
    ) -> Attempt:
        maker = replace(self.dialogs, respondent=Speaking(way.speaker))
        answer = await maker.answer(brief, nudged(prompt, way.nudge), said, calls)
        dialog = maker.dialog(brief, (*said, *answer), calls)
        return await maker.judged(brief, Attempt(dialog, origin="alternative", label=way.label), calls)
