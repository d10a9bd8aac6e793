"""Points of a vector store as documents: which keys hold what, and what is left out."""

from __future__ import annotations

from typing import Any

import pytest

from datasets.reading import Problem, Text
from datasets.reading.payload import Keys, document, guess, keys_in, value_at, without


def read(payload: dict[str, Any], **keys: str) -> Text | Problem:
    return document("7", payload, Keys(**{"content": "text", **keys}), "court", 0.5)


@pytest.mark.parametrize(
    ("payload", "key", "value"),
    [
        ({"a": 1}, "a", 1),
        ({"a": {"b": {"c": 1}}}, "a.b.c", 1),
        ({"a.b": 1, "a": {"b": 2}}, "a.b", 1),
        ({"a.b": {"c": 1}}, "a.b.c", 1),
        ({"a": {"b.c": 1}}, "a.b.c", 1),
        ({"a": {"b": 1}}, "a.c", None),
        ({"a": [1]}, "a.0", None),
        ({"a": "x"}, "a.b", None),
        ({"a": 1}, "", None),
        ({}, "a.", None),
    ],
)
def test_keys_lead_to_nested_values(payload: dict[str, Any], key: str, value: Any) -> None:
    assert value_at(payload, key) == value


def test_what_stands_at_a_key_is_taken_out_and_nothing_else() -> None:
    payload = {"a": {"b": 1, "c": 2}, "d": 3}
    assert without(payload, "a.b") == {"a": {"c": 2}, "d": 3}
    assert without(payload, "d") == {"a": {"b": 1, "c": 2}}
    assert without(payload, "x.y") == without(payload, "") == payload
    assert payload == {"a": {"b": 1, "c": 2}, "d": 3}


def test_keys_are_offered_with_dots_and_lists_are_not() -> None:
    payloads = [{"text": "a", "meta": {"source": "x", "tags": ["y"]}, "flag": True}, {"n": 5, "none": None}]
    assert keys_in(payloads) == ["text", "meta.source", "n"]


@pytest.mark.parametrize(
    ("payload", "keys"),
    [
        (
            {"page_content": "a", "metadata": {"title": "t", "doc_id": "1"}},
            Keys("page_content", "metadata.title", "metadata.doc_id"),
        ),
        ({"text": "a", "title": "t", "id": 5}, Keys("text", "title", "id")),
        ({"holding": "a long text about a case", "court": "x"}, Keys("holding", "", "")),
        ({"doc": {"body": "a"}}, Keys("doc.body")),
        ({"n": 5}, None),
        ({}, None),
    ],
)
def test_usual_names_are_found_wherever_they_are_nested(payload: dict[str, Any], keys: Keys | None) -> None:
    assert guess([payload]) == keys


def test_a_point_is_a_document_fit_for_the_database() -> None:
    found = read(
        {"text": "x\ud83d\ude00\ud800\u0000", "name": "A\nname", "n": float("nan"), "ref": 5}, title="name", id="ref"
    )
    assert isinstance(found, Text)
    assert (found.text, found.title, found.key, found.external_id) == ("x😀\ufffd", "A name", "7", "5")
    assert found.metadata == {"n": None, "ref": 5}


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        ({}, "It has no “text”."),
        ({"text": " \n"}, "Its “text” is empty."),
        ({"text": ["a"]}, "Its “text” holds no text."),
        ({"text": "x" * 10_000_001}, "Its text is longer than 10,000,000 characters."),
    ],
)
def test_a_point_without_a_usable_text_is_named(payload: dict[str, Any], sentence: str) -> None:
    assert read(payload) == Problem("point 7", sentence)
