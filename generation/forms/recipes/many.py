"""How many conversations, how long, at which pace, and when the run has enough."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django import forms

from generation import extensions
from generation.engine import rules
from generation.engine.recipe import Recipe


class ManyFields(forms.Form):
    conversations = forms.IntegerField(min_value=1, max_value=100_000, initial=20)
    max_turns = forms.IntegerField(
        min_value=1, max_value=50, initial=3, label="Turns, at most", help_text="Each conversation has 1 to this many."
    )
    concurrency = forms.IntegerField(
        min_value=1, max_value=1024, initial=8, help_text="Conversations in flight at the same time."
    )
    seed = forms.IntegerField(
        min_value=0, max_value=2**31 - 1, initial=0, help_text="The same seed plans the same conversations."
    )
    budget_tokens = forms.IntegerField(min_value=1, required=False, label="Token budget", help_text="Empty: no limit.")
    budget_money = forms.DecimalField(
        min_value=Decimal("0.0001"),
        max_digits=12,
        decimal_places=4,
        required=False,
        label="Money budget",
        help_text="Empty: no limit.",
    )
    stop_covered = forms.IntegerField(
        min_value=1, max_value=100, required=False, label="Passages asked about", help_text="Share of the corpus."
    )
    stop_visits = forms.IntegerField(min_value=1, max_value=1000, initial=1, required=False, label="Each at least")
    stop_personas = forms.IntegerField(
        min_value=1, max_value=100_000, required=False, label="Different personas", help_text="So many have spoken."
    )
    stop_errors = forms.IntegerField(
        min_value=1,
        max_value=100,
        required=False,
        label="Failures",
        help_text="Share of the last 50 conversations, once 10 have ended.",
    )
    stop_rules = forms.MultipleChoiceField(
        required=False, widget=forms.CheckboxSelectMultiple, label="Rules of this installation"
    )

    def set_up_many(self) -> None:
        self.fields["stop_rules"].choices = [(name, name) for name in extensions.names("stopping")]

    @property
    def stops_early(self) -> bool:
        """Whether the fold of the rules has anything that must be seen."""
        names = ("stop_covered", "stop_personas", "stop_errors", "stop_rules")
        return any(self[name].value() or self[name].errors for name in names)

    def many(self, said: dict[str, Any]) -> dict[str, Any]:
        """The part of the recipe that these fields say."""
        return {
            "conversations": said["conversations"],
            "max_turns": said["max_turns"],
            "concurrency": said["concurrency"],
            "seed": said["seed"],
            "budget": {"tokens": said["budget_tokens"], "money": said["budget_money"]},
            "stopping": list(self._rules(said)),
        }

    def _rules(self, said: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if share := said["stop_covered"]:
            yield {"kind": "coverage", "share": share / 100, "visits": said["stop_visits"] or 1}
        if number := said["stop_personas"]:
            yield {"kind": "personas", "number": number}
        if rate := said["stop_errors"]:
            yield {"kind": "error_rate", "rate": rate / 100}
        for name in said["stop_rules"]:
            yield {"kind": "custom", "name": name}


def initial_many(recipe: Recipe) -> dict[str, Any]:
    return _said(recipe)[0]


def rules_without_field(recipe: Recipe) -> list[rules.Rule]:
    """The stopping rules that these fields cannot say."""
    return _said(recipe)[1]


def _said(recipe: Recipe) -> tuple[dict[str, Any], list[rules.Rule]]:
    initial: dict[str, Any] = {
        name: getattr(recipe, name) for name in ("conversations", "max_turns", "concurrency", "seed")
    }
    initial |= {"budget_tokens": recipe.budget.tokens, "budget_money": recipe.budget.money, "stop_rules": []}
    left: list[rules.Rule] = []
    for rule in recipe.stopping:
        if _has_field(rule, initial):
            initial |= _field_of(rule, initial)
        else:
            left.append(rule)
    return initial, left


def _has_field(rule: rules.Rule, initial: dict[str, Any]) -> bool:
    """Whether the form can say the rule, and has not said another of its kind."""
    match rule:
        case rules.Coverage():
            return "stop_covered" not in initial and round(rule.share * 100) == rule.share * 100
        case rules.Personas():
            return "stop_personas" not in initial
        case rules.ErrorRate(window=50, least=10):
            return "stop_errors" not in initial and round(rule.rate * 100) == rule.rate * 100
        case rules.Custom():
            return not rule.options and rule.name in extensions.names("stopping")
    return False


def _field_of(rule: rules.Rule, initial: dict[str, Any]) -> dict[str, Any]:
    match rule:
        case rules.Coverage():
            return {"stop_covered": round(rule.share * 100), "stop_visits": rule.visits}
        case rules.Personas():
            return {"stop_personas": rule.number}
        case rules.ErrorRate():
            return {"stop_errors": round(rule.rate * 100)}
        case rules.Custom():
            return {"stop_rules": [*initial["stop_rules"], rule.name]}
    return {}
