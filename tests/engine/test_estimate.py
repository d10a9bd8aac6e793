"""The estimate before a launch, held against runs that are really made."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from generation.engine.estimate import CHARS_PER_TOKEN, TYPICAL_REPLY, Estimate, Speech, Texts, estimate
from generation.engine.instructions import Contextual
from generation.engine.modifiers import WithContext
from generation.engine.protocols import Brief, ChatRequest, Made, ModelRole, Speaker
from generation.engine.recipe import ModelChoice, Recipe, Retrieval
from generation.engine.sampling import plan
from tests.engine.parts import Model, judge, maker, reply_to, source

ROLES: tuple[ModelRole, ...] = ("instruction", "correspondent", "respondent", "judge")
SPEECHES = dict.fromkeys(ROLES, Speech(Decimal(1), Decimal(4), latency=0.5))


def recipe(**changes: Any) -> Recipe:
    models = {role: ModelChoice(endpoint=1) for role in ROLES}
    settings = {"corpus": 1, "respondent_prompt": 1, "models": models, "conversations": 60, "max_turns": 3}
    return Recipe.model_validate({**settings, **changes})


def reckon(spec: Recipe, texts: Texts, speeches: Mapping[ModelRole, Speech]) -> Estimate:
    return estimate(spec, texts, speeches, spec.conversations)


@pytest.mark.parametrize(("turns", "with_judge", "each"), [(1, False, 2), (3, False, 4), (3, True, 5), (8, False, 9)])
def test_calls_are_one_instruction_2t_minus_1_messages_and_a_judge(turns: int, with_judge: bool, each: int) -> None:
    reckoned = reckon(recipe(max_turns=turns, judge=with_judge), Texts(respondent=400), SPEECHES)
    assert reckoned.calls == 60 * each
    assert ("judge" in reckoned.roles) == with_judge


async def test_calls_and_tokens_come_near_what_a_run_really_takes() -> None:
    def say(request: ChatRequest) -> str:
        length = {"answer": TYPICAL_REPLY["respondent"], "question": TYPICAL_REPLY["correspondent"]}
        count = round(length.get(request.operation, 0) * CHARS_PER_TOKEN)
        return "w" * count if count else reply_to(request)

    model = Model(say)
    parts = maker(
        model,
        prompt="p" * 400,
        instructions=Contextual(Speaker(model)),
        modifier=WithContext(),
        evaluator=judge(model),
        every_answer=False,
    )
    passage = source(1, "t" * 900, title="x" * 24)
    for slot in plan(60, seed=1, max_turns=4):
        assert isinstance(await parts.make(Brief(slot.seed, slot.turns, (passage,))), Made)

    spec = recipe(max_turns=4, judge=True, retrieval=Retrieval(when="never"))
    reckoned = reckon(spec, Texts(respondent=400, passage=900), SPEECHES)
    assert reckoned.calls == len(model.asked)
    for operation, role in zip(("instruction", "question", "answer", "judge"), ROLES, strict=True):
        requests = model.of(operation)
        sent = sum(len(turn.content) / CHARS_PER_TOKEN + 4 for request in requests for turn in request.turns)
        assert reckoned.roles[role].calls == pytest.approx(len(requests))
        assert reckoned.roles[role].prompt_tokens == pytest.approx(sent, rel=0.15), role


def test_cost_is_tokens_at_their_prices() -> None:
    reckoned = reckon(recipe(), Texts(respondent=400), SPEECHES)
    cost = (reckoned.prompt_tokens * 1 + reckoned.completion_tokens * 4) / 1_000_000
    assert float(reckoned.cost) == pytest.approx(cost, rel=0.001)
    free = reckon(recipe(), Texts(respondent=400), dict.fromkeys(ROLES, Speech()))
    assert free.cost == 0


def test_retrieval_and_longer_passages_take_more_tokens() -> None:
    def tokens(passage: int = 800, **retrieval: Any) -> int:
        return reckon(recipe(retrieval=Retrieval(**retrieval)), Texts(400, passage=passage), SPEECHES).tokens

    assert tokens(when="never", with_context=False) < tokens(when="never") < tokens(when="answer", depth=2)
    assert tokens(depth=2) < tokens(depth=8)
    assert tokens(passage=800) < tokens(passage=1600)


def test_time_is_all_calls_over_the_lines_and_never_less_than_one_dialog() -> None:
    texts = Texts(respondent=400)
    assert reckon(recipe(concurrency=4), texts, SPEECHES).seconds == pytest.approx(60 * 4 * 0.5 / 4)
    assert reckon(recipe(concurrency=1000), texts, SPEECHES).seconds == pytest.approx(6 * 0.5)
