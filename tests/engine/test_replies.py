"""Reading replies: JSON however it is wrapped, and words without what models put around them."""

from __future__ import annotations

import pytest

from generation.engine import replies
from generation.engine.calls import Calls
from generation.engine.errors import BadReply
from generation.engine.instructions.simple import read_instructions
from generation.engine.protocols import Completion, Speaker
from generation.engine.simulators import write_correspondent_prompt
from tests.engine.parts import Model


def said(text: str) -> Completion:
    return Completion(text, "m")


@pytest.mark.parametrize(
    "text",
    [
        '{"instructions": ["How?"]}',
        ' \n{"instructions": ["  How? "]}\n ',
        '```json\n{"instructions": ["How?"]}\n```',
        'Sure! Here it is:\n{"instructions": ["How?"]}\nAnything else?',
        'Think {of this} first. {"instructions": ["How?", "And why?"]}',
        '["How?"]',
        '"How?"',
        '{"question": "How?", "language": "en"}',
        '{"instructions": [{"text": "How?"}]}',
        '{"instructions": "How?"}',
    ],
)
def test_an_instruction_is_read_from_the_forms_that_models_use(text: str) -> None:
    assert read_instructions(said(text))[0].text == "How?"


@pytest.mark.parametrize(
    "text", ["", " ", "How?", "[]", "{}", "null", "3", '{"instructions": null}', '{"instructions": ["  "]}']
)
def test_what_holds_no_instruction_is_a_bad_reply(text: str) -> None:
    with pytest.raises(BadReply):
        read_instructions(said(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("How?", "How?"),
        ('"How?"', "How?"),
        ("“How?”", "How?"),
        ("<message>How?</message>", "How?"),
        ('Is it "blue" or "red"', 'Is it "blue" or "red"'),
        ('"Blue" or "red"', '"Blue" or "red"'),
        ("<b>Now</b> what about <b>that</b>", "<b>Now</b> what about <b>that</b>"),
    ],
)
def test_a_message_is_freed_from_what_stands_around_the_whole_of_it(text: str, words: str) -> None:
    assert replies.message(said(text)) == words


@pytest.mark.parametrize("text", ["", "   ", '""', "<message> </message>"])
def test_a_message_without_words_is_a_bad_reply(text: str) -> None:
    with pytest.raises(BadReply):
        replies.message(said(text))


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("<prompt>You are a customer of our store</prompt>", "You are a customer of our store"),
        ("<prompt>customer</prompt>", "customer"),
        ("```\n<user_prompt>\nYou are kind\n</user_prompt>\n```", "You are kind"),
        ("prompt: your store", "prompt: your store"),
        ("You may write <prompt> in a message", "You may write <prompt> in a message"),
    ],
)
async def test_a_written_correspondent_prompt_loses_its_tags_and_no_letter(text: str, prompt: str) -> None:
    model = Model(lambda request: text)
    written = await write_correspondent_prompt(Speaker(model), "You sell pumps.", Calls())
    assert written == prompt
    assert "You sell pumps." in model.asked[0].turns[1].content


async def test_a_correspondent_prompt_is_asked_for_again_when_none_comes() -> None:
    texts = iter(["", "You are a customer."])
    model = Model(lambda request: next(texts))
    assert await write_correspondent_prompt(Speaker(model), "You sell pumps.", Calls()) == "You are a customer."


def test_an_excerpt_is_one_line_of_bounded_length() -> None:
    assert replies.excerpt("a\n b") == "a b"
    assert len(replies.excerpt("word " * 1000)) <= 120


def test_storable_text_is_left_as_it_is() -> None:
    text = "Grüße, 世界 🌍\n"
    assert replies.storable(text) == text
