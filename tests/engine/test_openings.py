"""Near-duplicate first questions: what counts as one, how they are found, and what becomes of a dialog that has one."""

from __future__ import annotations

import json
import random

import pytest

from generation.engine.openings import ALIKE, Known, features, similarity, sketch
from generation.engine.protocols import Brief, Failed, Made
from tests.engine.parts import Model, in_turn, maker

LIKE = [
    ("How do I reset my lock to factory settings?", "How do I reset my lock to factory settings"),
    ("How do I reset my lock to its factory settings?", "how do i reset my lock to factory settings?"),
    ("Can a guest code be used for more than 30 days?", "Can a guest code be used for more than 30 days, please?"),
]
UNLIKE = [
    ("How do I reset my lock?", "How do I reset my router?"),
    ("Does the warranty cover water damage?", "Does the warranty cover wear of the battery lid?"),
    ("What is a guest code?", "What does the red light mean?"),
]


@pytest.mark.parametrize(("one", "other"), LIKE)
def test_the_same_question_in_nearly_the_same_words_is_alike(one: str, other: str) -> None:
    assert similarity(features(one), features(other)) >= ALIKE
    assert set(sketch(one)) & set(sketch(other))


@pytest.mark.parametrize(("one", "other"), UNLIKE)
def test_questions_about_different_things_are_not_alike(one: str, other: str) -> None:
    assert similarity(features(one), features(other)) < ALIKE


def test_scripts_without_spaces_are_compared_by_their_characters() -> None:
    assert similarity(features("如何重置我的智能门锁到出厂设置"), features("如何重置我的智能门锁到出厂设置?")) == 1.0
    assert similarity(features("如何重置门锁"), features("保修期有多长")) < 0.2


def test_nearly_all_alike_texts_share_a_band_and_few_others_do() -> None:
    chance = random.Random(4)
    words = [f"word{n}" for n in range(400)]

    def shares(changed: int) -> float:
        hits = 0
        for _ in range(200):
            text = chance.sample(words, 24)
            other = [*text[:-changed], *chance.sample(words, changed)] if changed else text
            hits += bool(set(sketch(" ".join(text))) & set(sketch(" ".join(other))))
        return hits / 200

    assert shares(0) == 1.0
    assert shares(2) > 0.9
    assert shares(20) < 0.1


def test_sketches_of_another_salt_never_meet() -> None:
    assert not set(sketch("How do I reset it?", 1)) & set(sketch("How do I reset it?", 2))


def asks(*questions: str) -> str:
    return json.dumps({"instructions": list(questions)})


async def test_a_near_duplicate_is_written_anew_before_an_answer_is_paid_for() -> None:
    model = Model(in_turn("instruction", asks("How do I reset it?"), asks("how do I reset it"), asks("What is it?")))
    parts = maker(model, openings=Known())
    first, second = [await parts.make(Brief(seed=n, turns=1)) for n in (1, 2)]
    assert isinstance(first, Made)
    assert isinstance(second, Made)
    assert second.dialog.messages[0].content == "What is it?"
    assert [step.operation for step in second.steps] == ["instruction", "instruction", "answer"]
    again = model.of("instruction")[-1].turns[-1].content
    assert "how do I reset it" in again
    assert "<already_asked>" in again


async def test_a_dialog_whose_first_questions_are_all_taken_fails_and_says_why() -> None:
    parts = maker(Model(), openings=Known())
    await parts.make(Brief(seed=1, turns=1))
    outcome = await parts.make(Brief(seed=2, turns=1))
    assert isinstance(outcome, Failed)
    assert "near-duplicates" in outcome.error
    assert [step.operation for step in outcome.steps] == ["instruction"] * 3


async def test_a_question_that_is_there_already_is_not_asked_for() -> None:
    model = Model()
    outcome = await maker(model).make(Brief(seed=1, turns=1, opening="Is it blue?"))
    assert isinstance(outcome, Made)
    assert outcome.dialog.messages[0].content == "Is it blue?"
    assert not model.of("instruction")


async def test_several_first_questions_are_asked_for_in_one_call_and_all_are_offered() -> None:
    offered: list[list[str]] = []

    class Openings:
        async def admit(self, brief: Brief, proposed: list[str]) -> str | None:
            offered.append(proposed)
            return proposed[0]

    model = Model(in_turn("instruction", asks("One?", "Two?", "Three?", "Four?")))
    await maker(model, openings=Openings()).make(Brief(seed=1, turns=1, questions=3))
    assert offered == [["One?", "Two?", "Three?"]]
    (request,) = model.of("instruction")
    assert "3 such messages" in request.turns[-1].content
    assert request.schema is not None
    assert request.schema["properties"]["instructions"]["minItems"] == 3
