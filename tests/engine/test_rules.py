"""Stopping rules: when each is met, how they nest, and what they say."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from generation.engine import rules
from generation.engine.recipe import Recipe
from generation.engine.rules import Facts, Rule, live


def rule(**said: Any) -> rules.StoppingRule:
    return live([TypeAdapter(Rule).validate_python(said)], {})


@pytest.mark.parametrize(
    ("said", "not_yet", "met"),
    [
        ({"kind": "conversations", "number": 7}, Facts(made=6), Facts(made=7)),
        ({"kind": "personas", "number": 3}, Facts(personas=2), Facts(personas=3)),
        ({"kind": "coverage"}, Facts(coverage={1: 0.99}), Facts(coverage={1: 1.0})),
        ({"kind": "coverage", "visits": 2, "share": 0.5}, Facts(coverage={1: 1.0, 2: 0.4}), Facts(coverage={2: 0.5})),
        ({"kind": "spending", "tokens": 100}, Facts(prompt_tokens=60, completion_tokens=39), Facts(prompt_tokens=100)),
        ({"kind": "spending", "prompt_tokens": 9}, Facts(completion_tokens=99), Facts(prompt_tokens=9)),
        ({"kind": "spending", "completion_tokens": 9}, Facts(prompt_tokens=99), Facts(completion_tokens=9)),
        ({"kind": "spending", "money": "0.5"}, Facts(money=Decimal("0.49")), Facts(money=Decimal("0.5"))),
    ],
)
def test_a_rule_is_met_at_its_number_and_not_before(said: dict[str, Any], not_yet: Facts, met: Facts) -> None:
    assert rule(**said).reason(not_yet) is None
    reason = rule(**said).reason(met)
    assert reason is not None
    assert reason.endswith(".")


def test_one_error_among_many_successes_is_no_error_rate() -> None:
    assert rule(kind="error_rate").reason(Facts(outcomes=[False] * 99 + [True])) is None


def test_an_error_rate_needs_a_least_number_of_outcomes_and_looks_at_the_latest() -> None:
    half = rule(kind="error_rate", rate=0.5, window=20, least=10)
    assert half.reason(Facts(outcomes=[True] * 9)) is None
    assert half.reason(Facts(outcomes=[False] * 100 + [True] * 9)) is None
    assert half.reason(Facts(outcomes=[False] * 100 + [True] * 10)) == "10 of the last 20 conversations failed."


ENOUGH = {"kind": "conversations", "number": 5}
COVERED = {"kind": "coverage"}


def test_all_of_waits_for_every_one_and_says_each_reason() -> None:
    both = rule(kind="all", rules=[ENOUGH, COVERED])
    assert both.reason(Facts(made=5)) is None
    assert both.reason(Facts(coverage={1: 1.0})) is None
    reason = both.reason(Facts(made=5, coverage={1: 1.0}))
    assert reason == "5 conversations were made. 100% of the passages were asked about."


def test_rules_nest() -> None:
    nested = rule(
        kind="any", rules=[{"kind": "all", "rules": [ENOUGH, COVERED]}, {"kind": "spending", "tokens": 1_000}]
    )
    assert nested.reason(Facts(made=5)) is None
    assert nested.reason(Facts(prompt_tokens=1_000)) == "The limit of 1,000 tokens is reached."


def test_what_is_spent_is_named_by_what_it_is() -> None:
    money = rule(kind="spending", tokens=9_000, money="1250.5")
    assert money.reason(Facts(money=Decimal(1_300))) == "The money limit of 1,250.5 is reached."
    assert money.reason(Facts(completion_tokens=9_000)) == "The limit of 9,000 tokens is reached."


def test_a_list_of_rules_is_met_by_any_of_them() -> None:
    several = live([rules.Conversations(number=5), rules.Personas(number=2)], {})
    assert several.reason(Facts(personas=2)) is not None
    assert live([], {}).reason(Facts(made=10**6)) is None


def test_an_added_rule_is_found_by_its_name_and_given_its_options() -> None:
    class Tired:
        def __init__(self, after: int) -> None:
            self.after = after

        def reason(self, facts: Facts) -> str | None:
            return "Enough for today." if facts.made >= self.after else None

    added = live([rules.Custom(name="tired", options={"after": 3})], {"tired": Tired})
    assert added.reason(Facts(made=2)) is None
    assert added.reason(Facts(made=3)) == "Enough for today."


# -- what the plan of a run takes from them ---------------------------------------------------------------------------


def recipe(**changes: Any) -> Recipe:
    models = {role: {"endpoint": 1} for role in ("instruction", "correspondent", "respondent", "judge")}
    return Recipe.model_validate({"corpus": 1, "respondent_prompt": 1, "models": models, **changes})


COVERAGE = {"kind": "coverage", "visits": 3}


@pytest.mark.parametrize(
    ("changes", "visits"),
    [
        ({}, None),
        ({"stopping": [COVERAGE]}, 3),
        ({"stopping": [{"kind": "all", "rules": [{"kind": "coverage", "visits": 4}, ENOUGH]}]}, 4),
        ({"stopping": [COVERAGE, {"kind": "coverage", "visits": 5}]}, 5),
        ({"stopping": [COVERAGE], "questions": {"visits": 2}}, 2),
    ],
)
def test_visits_follow_from_the_coverage_that_is_wanted_unless_they_are_named(changes: Any, visits: int | None) -> None:
    assert recipe(**changes).visits == visits


def test_a_number_among_the_rules_bounds_the_conversations_unless_it_is_one_condition_of_several() -> None:
    assert recipe(stopping=[{"kind": "conversations", "number": 7}]).most_conversations == 7
    inside = {"kind": "all", "rules": [{"kind": "conversations", "number": 7}, COVERED]}
    assert recipe(stopping=[inside], conversations=30).most_conversations == 30


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stopping": [{"kind": "personas", "number": 2}]}, "needs personas"),
        ({"corpus": None, "retrieval": {"when": "never"}, "stopping": [COVERED]}, "needs a corpus"),
        ({"improve": {}}, "needs a judge"),
        ({"product": {"kind": "pairs"}}, "needs a judge"),
        ({"product": {"kind": "rows", "form": {"type": "array"}}}, "object with properties"),
        (
            {"product": {"kind": "rows", "form": {"type": "object", "properties": {"a": {"type": "wat"}}}}},
            "JSON schema",
        ),
        ({"product": {"kind": "pairs", "strategy": "model"}, "judge": True}, "second model"),
        ({"stopping": [{"kind": "all", "rules": []}]}, "at least 1"),
        ({"stopping": [{"kind": "never"}]}, "kind"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused_in_words(changes: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        recipe(**changes)


def test_a_recipe_of_all_parts_survives_being_written_down() -> None:
    whole = recipe(
        stopping=[{"kind": "all", "rules": [COVERED, {"kind": "spending", "money": "1.5"}]}],
        judge=True,
        improve={"attempts": 3},
        product={"kind": "pairs", "strategy": "combined"},
        retrieval={"retriever": {"kind": "chain", "retrievers": [{"kind": "text", "text": "T"}, {"kind": "corpus"}]}},
    )
    assert Recipe.model_validate(whole.model_dump(mode="json")) == whole
    assert Recipe.model_validate(whole.model_dump(mode="json", exclude_defaults=True)) == whole
