"""Preference pairs: a dialog of real turns whose last answer is given in several ways."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from generation.engine.errors import BadReply, FatalError
from generation.engine.modifiers import WithRetrieval
from generation.engine.pairs import PairMaker, Way, ways_of
from generation.engine.prompts.pairs import DEGRADED, ENHANCED
from generation.engine.protocols import Brief, ChatRequest, Failed, Made, Outcome, Speaker
from generation.engine.recipe import ModelChoice, Pairs
from tests.engine.parts import Library, Model, judge, maker, reply_to, source, verdict

FIRST, SECOND = Speaker(Model(), temperature=0.5), Speaker(Model(), temperature=1.0)


def labels(other: Speaker | None = None, **product: object) -> list[str]:
    return [way.label for way in ways_of(Pairs.model_validate(product), FIRST, other)]


def temperatures(**product: object) -> list[float | None]:
    return [way.speaker.temperature for way in ways_of(Pairs.model_validate(product), FIRST)]


def pairs_of(model: Model, *, answers: int = 3, strategy: str = "temperature", **changes: object) -> PairMaker:
    product = Pairs.model_validate({"strategy": strategy, "answers": answers})
    return PairMaker(maker(model, evaluator=judge(model), **changes), ways_of(product, Speaker(model, 0.7)))


def made(outcome: Outcome) -> Made:
    assert isinstance(outcome, Made), outcome
    return outcome


def by_temperature(scores: dict[float, float]) -> Callable[[ChatRequest], str]:
    """A model whose answers say at which temperature they were given, and a judge that scores them by it."""

    def say(request: ChatRequest) -> str:
        if request.operation == "answer":
            return f"At {request.temperature}."
        if request.operation == "judge":
            said = request.turns[-1].content
            score = next(score for key, score in scores.items() if f"At {key}." in said)
            return verdict({"factuality": score, "helpfulness": score})
        return reply_to(request)

    return say


# -- ways ---------------------------------------------------------------------------------------------------------------


def test_temperatures_are_spaced_evenly_and_named() -> None:
    assert labels(strategy="temperature", answers=2) == ["temperature_0.10", "temperature_0.90"]
    assert labels(strategy="temperature", answers=3) == ["temperature_0.10", "temperature_0.50", "temperature_0.90"]
    assert temperatures(strategy="temperature", answers=5) == [0.1, 0.3, 0.5, 0.7, 0.9]


def test_prompts_are_enhanced_and_degraded_and_the_rest_enhanced() -> None:
    ways = ways_of(Pairs(strategy="prompt", answers=4), FIRST)
    assert [way.label for way in ways] == ["enhanced", "degraded", "enhanced_2", "enhanced_3"]
    assert [way.nudge for way in ways] == [ENHANCED, DEGRADED, ENHANCED, ENHANCED]
    assert {way.speaker.temperature for way in ways} == {0.7}


def test_models_take_turns() -> None:
    second = {"endpoint": 1, "model": "other"}
    assert labels(SECOND, strategy="model", answers=3, second=second) == ["first", "second", "first_2"]
    with pytest.raises(ValueError, match="second model"):
        Pairs(strategy="model")
    with pytest.raises(FatalError):
        ways_of(Pairs(strategy="model", second=ModelChoice(endpoint=1)), FIRST, None)


def test_combined_goes_through_all_of_them() -> None:
    assert labels(strategy="combined", answers=5) == [
        "enhanced", "degraded", "temperature_0.40", "temperature_0.60", "temperature_0.80",
    ]  # fmt: skip
    assert temperatures(strategy="combined", answers=4) == [0.2, 0.9, 0.4, 0.6]
    ways = ways_of(Pairs(strategy="combined", answers=8), FIRST, SECOND)
    assert (ways[2].label, ways[2].speaker.model, ways[2].speaker.temperature) == ("second", SECOND.model, 0.7)
    assert len({way.label for way in ways}) == 8


# -- making -------------------------------------------------------------------------------------------------------------


async def test_alternatives_share_a_real_prefix_and_the_best_one_counts() -> None:
    model = Model(by_temperature({0.1: 0.3, 0.5: 0.9, 0.9: 0.6}))
    outcome = made(await pairs_of(model).make(Brief(seed=1, turns=1)))
    assert [(attempt.label, attempt.overall, attempt.origin) for attempt in outcome.attempts] == [
        ("temperature_0.10", 0.3, "alternative"),
        ("temperature_0.50", 0.9, "alternative"),
        ("temperature_0.90", 0.6, "alternative"),
    ]
    assert outcome.best == 1
    assert {attempt.dialog.messages[:-1] for attempt in outcome.attempts} == {outcome.dialog.messages[:-1]}
    assert len({attempt.dialog.messages[-1] for attempt in outcome.attempts}) == 3


@pytest.mark.parametrize("turns", [1, 2, 4])
async def test_a_prefix_of_several_turns_has_each_question_once(turns: int) -> None:
    numbers = iter(range(1000))
    model = Model(
        lambda request: f"Said {next(numbers)}." if request.operation in ("answer", "question") else reply_to(request)
    )
    outcome = made(await pairs_of(model, answers=2).make(Brief(seed=1, turns=turns)))
    for attempt in outcome.attempts:
        assert [message.role for message in attempt.dialog.messages] == ["user", "assistant"] * turns
        questions = [message.content for message in attempt.dialog.messages if message.role == "user"]
        assert len(set(questions)) == turns
    assert len(model.of("instruction")) == 1
    assert len(model.of("question")) == turns - 1
    assert len(model.of("answer")) == turns - 1 + 2
    assert len(model.of("judge")) == 2


async def test_the_system_prompt_is_sent_once_and_the_turns_as_turns() -> None:
    model = Model()
    await pairs_of(model, answers=2).make(Brief(seed=1, turns=3))
    for request in model.of("answer")[-2:]:
        assert [turn.role for turn in request.turns] == ["system", "user", "assistant", "user", "assistant", "user"]
        assert sum(turn.content.count("You help.") for turn in request.turns) == 1


async def test_the_nudge_of_a_strategy_is_asked_of_the_last_answer_only() -> None:
    model = Model()
    await pairs_of(model, answers=2, strategy="prompt").make(Brief(seed=1, turns=2))
    first, enhanced, degraded = (request.turns[0].content for request in model.of("answer"))
    assert ENHANCED not in first
    assert enhanced.endswith(ENHANCED)
    assert degraded.endswith(DEGRADED)


async def test_alternatives_are_given_and_judged_side_by_side_from_the_same_passages() -> None:
    library = Library({"reset": (source(1, score=0.5),)})
    model = Model(latency=0.05)
    pairs = pairs_of(model, answers=8, modifier=WithRetrieval(library))
    clock = asyncio.get_running_loop().time
    begun = clock()
    outcome = made(await pairs.make(Brief(seed=1, turns=1)))
    assert clock() - begun < 0.05 * 3 + 0.1
    assert library.queries == ["How do I reset it?"]
    assert all(attempt.dialog.trace.written_by(1).sources for attempt in outcome.attempts)  # type: ignore[union-attr]


async def test_each_trace_holds_the_prefix_and_its_own_answer_and_every_call_is_paid_once() -> None:
    model = Model()
    outcome = made(await pairs_of(model, answers=3).make(Brief(seed=1, turns=2)))
    for attempt in outcome.attempts:
        operations = [step.operation for step in attempt.dialog.trace.steps]
        assert operations == ["instruction", "answer", "question", "answer", "judge"]
    assert len(outcome.steps) == len(model.asked) == 1 + 1 + 1 + 3 + 3
    assert len({request.seed for request in model.asked}) == len(model.asked)


async def test_one_answer_that_cannot_be_had_costs_only_itself() -> None:
    refused = lambda request: (  # noqa: E731
        BadReply("Empty.") if request.operation == "answer" and request.temperature == 0.5 else reply_to(request)
    )
    outcome = made(await pairs_of(Model(refused)).make(Brief(seed=1, turns=1)))
    assert [attempt.label for attempt in outcome.attempts] == ["temperature_0.10", "temperature_0.90"]


async def test_fewer_than_two_answers_are_no_outcome_and_a_refused_key_stops_the_run() -> None:
    refused = lambda request: (  # noqa: E731
        BadReply("Empty.") if request.operation == "answer" and request.temperature != 0.5 else reply_to(request)
    )
    failed = await pairs_of(Model(refused)).make(Brief(seed=1, turns=1))
    assert isinstance(failed, Failed)
    assert failed.steps
    fatal = lambda request: FatalError("No key.") if request.temperature == 0.9 else reply_to(request)  # noqa: E731
    outcome = await pairs_of(Model(fatal)).make(Brief(seed=1, turns=1))
    assert isinstance(outcome, Failed)
    assert outcome.kind == "fatal"


async def test_a_judge_that_fails_leaves_its_answer_without_a_score() -> None:
    broken = lambda request: "no JSON" if request.operation == "judge" else reply_to(request)  # noqa: E731
    outcome = made(await pairs_of(Model(broken), answers=2).make(Brief(seed=1, turns=1)))
    assert [attempt.overall for attempt in outcome.attempts] == [None, None]
    assert all(attempt.verdict and attempt.verdict.error for attempt in outcome.attempts)


async def test_ways_may_speak_through_different_models() -> None:
    first, second = Model(), Model()
    ways = (Way("first", Speaker(first)), Way("second", Speaker(second)))
    made(await PairMaker(maker(first, evaluator=judge(first)), ways).make(Brief(seed=1, turns=1)))
    assert len(first.of("answer")) == len(second.of("answer")) == 1
