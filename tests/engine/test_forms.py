"""JSON schemas that users write: which are refused, how models are asked by them, and what fits them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from generation.engine import forms
from generation.engine.providers.dialect import strict

FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "nickname": {"type": ["string", "null"]},
        "when": {"type": "string", "format": "date-time"},
        "places": {"type": "array", "items": {"$ref": "#/$defs/Place"}},
    },
    "required": ["name"],
    "$defs": {
        "Place": {
            "type": "object",
            "properties": {"x": {"type": "number"}, "note": {"type": "string"}},
            "required": ["x"],
        }
    },
}


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def deep(levels: int) -> dict[str, Any]:
    form: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        form = of(a=form)
    return form


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"type": "thing"}, "This is not a JSON schema: type: 'thing'"),
        (of(a={"pattern": "("}), "properties.a.pattern: '(' is not a 'regex'"),
        (of(a={"$ref": "http://127.0.0.1:9/x"}), "outside of itself"),
        (of(a={"$ref": "file:///etc/passwd"}), "outside of itself"),
        (of(a={"$ref": "#/$defs/None"}), "which it does not hold"),
        (of(a={}) | {"$ref": "#"}, "refers to itself without an end"),
        (deep(500), "nested too deeply"),
        (of(a={"description": "x" * 60_000}), "too long: at most 50000 characters"),
    ],
)
def test_a_schema_that_cannot_be_checked_by_is_refused_in_a_sentence(form: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - its words are looked at
        forms.checked(form)
    assert why in str(refusal.value)
    assert len(str(refusal.value)) < 300


def test_a_schema_may_refer_to_itself_as_long_as_values_end() -> None:
    tree = of(children={"type": "array", "items": {"$ref": "#"}})
    assert forms.checked(tree) is tree
    assert forms.problem({"children": [{"children": []}]}, tree) == ""
    assert forms.problem({"children": [{"children": 1}]}, tree).startswith("children.0.children: 1 is not of type")


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({}, "'name' is a required property"),
        ({"name": 7}, "name: 7 is not of type 'string'"),
        ({"name": "A", "when": "yesterday"}, "when: 'yesterday' is not a 'date-time'"),
        ({"name": "A", "places": [{"x": 1}, {"note": "b"}]}, "places.1: 'x' is a required property"),
        ([], "[] is not of type 'object'"),
    ],
)
def test_what_does_not_fit_is_said_with_its_place(value: Any, where: str) -> None:
    assert forms.problem(value, FORM) == where


def test_what_may_be_left_out_may_be_null_when_a_model_is_asked_and_is_left_out_again() -> None:
    asked = strict(forms.asked(FORM))
    full = {
        "name": "Ada",
        "nickname": None,
        "when": None,
        "places": [{"x": 1.5, "note": None}, {"x": 2, "note": "b"}],
    }
    assert asked["required"] == list(FORM["properties"])
    assert forms.problem(full, asked) == ""
    fitted = forms.fitted(full, FORM)
    assert fitted == {"name": "Ada", "nickname": None, "places": [{"x": 1.5}, {"x": 2, "note": "b"}]}
    assert forms.problem(fitted, FORM) == ""
    assert forms.fitted({"name": None}, FORM) == {"name": None}


def test_a_schema_set_into_another_keeps_its_own_references() -> None:
    place, definitions = forms.embedded(FORM, "book")
    whole = {"type": "object", "properties": {"arguments": place}, "$defs": definitions}
    assert forms.problem({"arguments": {"name": "A", "places": [{"x": 1}]}}, whole) == ""
    assert "places.0" in forms.problem({"arguments": {"name": "A", "places": [{"y": 1}]}}, whole)
    assert forms.embedded(of(a={"type": "string"}), "plain") == (of(a={"type": "string"}), {})


def test_names_of_the_users_own_are_no_keywords() -> None:
    form = of(default={"type": "string"}, properties={"type": "string"}, enum={"type": "integer"})
    made = strict(form)
    assert made["required"] == ["default", "properties", "enum"]
    assert made["properties"]["properties"] == {"type": "string"}


def test_a_pattern_that_takes_for_ever_is_given_up() -> None:
    form = forms.checked(of(slug={"type": "string", "pattern": "^(a|aa)+$"}))
    assert forms.problem({"slug": "aaa"}, form) == ""
    begun = time.monotonic()
    assert "takes too long" in forms.problem({"slug": "a" * 60 + "b"}, form)
    assert time.monotonic() - begun < 5
