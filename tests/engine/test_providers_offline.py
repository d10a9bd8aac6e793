"""The offline model composes by extraction: what it asks and answers stands in the passages."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from datasets.schema import Dialog, Message, Operation, Source, Step, Trace
from generation.engine import prompts
from generation.engine.calls import Calls
from generation.engine.evaluators import ModelJudge
from generation.engine.instructions.simple import SCHEMA
from generation.engine.protocols import Brief, ChatRequest, PersonaSketch, Speaker, Turn, Verdict
from generation.engine.providers.offline import OfflineChat

LOCKS = """\
## Resetting a lock

To reset a lock, hold the button on the back for ten seconds until the light blinks blue. If the light blinks red three \
times, the battery is too low for a reset. You can check the battery level in the app under “Devices”. Do not remove the \
battery while the lock is resetting.

## Guest codes

A guest code is valid for up to 30 days. Guest codes are stored on the lock itself, so that the door opens even when the \
internet is down. Each lock holds up to 64 codes. You cannot change a code after it has been shared."""
REFUNDS = """\
## Refunds

The warranty lasts 24 months from the date of purchase. Refunds are paid within five business days. The hub restarts \
every night because it installs updates then.

- Battery life: about 18 months
- Operating range: 30 m indoors"""


def source(number: int, text: str) -> Source:
    return Source(passage=number, document=1, title="Handbook", text=text, start=0, end=len(text))


SOURCES = (source(1, LOCKS), source(2, REFUNDS))


async def ask(operation: Operation, turns: list[Turn], seed: int = 0, schema: Any = None) -> str:
    completion = await OfflineChat().complete(ChatRequest(operation, tuple(turns), schema=schema, seed=seed))
    assert completion.model == "offline"
    assert completion.text
    return completion.text


async def first_question(seed: int, sources: tuple[Source, ...] = SOURCES, **more: Any) -> str:
    brief = Brief(seed=seed, turns=1, persona=more.get("persona"))
    turns = prompts.first_question(prompts.DEFAULT_INSTRUCTION, prompts.DEFAULT_CORRESPONDENT, brief, sources)
    (question,) = json.loads(await ask("instruction", turns, seed, SCHEMA))["instructions"]
    return question


async def answer_to(*asked: str, sources: tuple[Source, ...] = SOURCES, said: tuple[str, ...] = ()) -> str:
    turns = [Turn("system", prompts.grounded("You are helpful.", sources))]
    for number, question in enumerate(asked):
        turns.append(Turn("user", question))
        if number < len(said):
            turns.append(Turn("assistant", said[number]))
    return await ask("answer", turns)


async def follow_up(*said: tuple[str, str], seed: int = 0) -> str:
    messages = [
        Message(role=role, content=text)
        for question, reply in said
        for role, text in (("user", question), ("assistant", reply))
    ]
    return await ask("question", prompts.next_question(prompts.DEFAULT_CORRESPONDENT, None, messages), seed)


async def test_the_same_request_and_seed_give_the_same_reply_and_other_seeds_give_others() -> None:
    once = [await first_question(seed) for seed in range(40)]
    assert once == [await first_question(seed) for seed in range(40)]
    assert len(set(once)) > 15


async def test_questions_are_made_from_what_sentences_say() -> None:
    asked = {await first_question(seed) for seed in range(500)}
    assert asked >= {
        "How do I reset a lock?",
        "What does it mean if the light blinks red three times?",
        "How can I check the battery level in the app under “Devices”?",
        "How long is a guest code valid?",
        "How many codes does each lock hold?",
        "How long does the warranty last?",
        "How soon are refunds paid?",
        "Why does the hub restart every night?",
        "What is the battery life?",
    }


async def test_questions_are_of_the_passages_that_are_given() -> None:
    asked = [await first_question(seed, (SOURCES[1],)) for seed in range(60)]
    assert not [question for question in asked if "lock" in question or "code" in question]


async def test_questions_never_speak_of_documents() -> None:
    asked = " ".join([await first_question(seed) for seed in range(100)]).lower()
    assert not [word for word in ("document", "passage", "context", "handbook", "source") if word in asked]


async def test_the_angle_that_is_asked_for_shows() -> None:
    why = [await first_question(seed) for seed in range(0, 800, 8)]
    how = [await first_question(seed + 3) for seed in range(0, 800, 8)]
    assert prompts.first_question("{angle}", "", Brief(seed=3, turns=1), ())[0].content.startswith(
        "wants to understand why"
    )
    assert sum("hy " in question for question in how) > 3 * sum("hy " in question for question in why)


async def test_a_persona_colours_how_a_question_begins() -> None:
    persona = PersonaSketch("Nora", "Has just moved in and is new to smart locks.")
    asked = [await first_question(seed, persona=persona) for seed in range(40)]
    assert 5 < sum(question.startswith("I'm new to this. ") for question in asked) < 35


@pytest.mark.parametrize(
    ("question", "holds"),
    [
        ("How do I reset a lock?", "hold the button on the back for ten seconds"),
        ("How long is a guest code valid?", "up to 30 days"),
        ("what is the battery life of it?", "about 18 months"),
        ("Why does the hub restart at night?", "installs updates"),
    ],
)
async def test_an_answer_is_the_sentences_that_have_to_do_with_the_question(question: str, holds: str) -> None:
    assert holds in await answer_to(question)


async def test_an_answer_adds_nothing_to_the_passages() -> None:
    everything = f"{LOCKS} {REFUNDS}".replace("\n", " ")
    reply = await answer_to("How long is a guest code valid?")
    assert all(sentence.strip(" .") in everything for sentence in reply.split(". "))


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("Is it true that refunds are paid within five business days?", "Yes. "),
        ("Can I change a code after it has been shared?", "No. "),
        ("Can I paint the lock in another colour?", ""),
    ],
)
async def test_yes_and_no_are_said_only_where_a_sentence_covers_the_question(question: str, word: str) -> None:
    reply = await answer_to(question)
    assert reply.startswith(word) if word else not reply.startswith(("Yes", "No."))


async def test_it_says_so_when_nothing_relates() -> None:
    reply = await answer_to("What does a kayak cost in Norway?")
    assert "no information" in reply or "nothing" in reply
    reply = await ask("answer", [Turn("system", prompts.nothing_found("Help.")), Turn("user", "What about kayaks?")])
    assert "no information" in reply or "nothing" in reply


async def test_what_was_said_is_not_said_again_when_there_is_more() -> None:
    first = await answer_to("Tell me about guest codes.")
    second = await answer_to("Tell me about guest codes.", "And what else?", said=(first,))
    assert second
    assert second not in first


async def test_a_follow_up_is_about_the_last_reply_and_repeats_no_question() -> None:
    said = [("How do I reset a lock?", "Hold the button on the back. The battery level must be high enough.")]
    for seed in range(12):
        question = await follow_up(*said, seed=seed)
        assert question not in [asked for asked, _ in said]
        said.append((question, "Check the battery level first. The owner is told by e-mail."))
    asked_once = {await follow_up(said[0], seed=seed) for seed in range(30)}
    assert any("button" in question or "battery level" in question for question in asked_once)
    assert len(asked_once) > 8


async def test_a_follow_up_takes_up_what_a_helpless_reply_offers() -> None:
    question = await follow_up(
        ("Do you sell kayaks?", "I have no information about that. I can tell you about “Refunds”.")
    )
    assert "efunds" in question


async def test_another_language_is_asked_about_in_quotation_marks() -> None:
    german = (
        "Die Kündigungsfrist beträgt drei Monate zum Quartalsende. Die Kündigungsfrist gilt für beide Seiten gleich."
    )
    question = await first_question(1, (source(3, german),))
    assert question.startswith("What can you tell me about “")
    reply = await answer_to("Wie lang ist die Kündigungsfrist?", sources=(source(3, german),))
    assert "drei Monate" in reply


async def judged(answer: str) -> Verdict:
    messages = (
        Message(role="user", content="How long is a guest code valid?"),
        Message(role="assistant", content=answer),
    )
    step = Step(operation="answer", model="offline", request=(), reply=0, message=1, sources=SOURCES)
    dialog = Dialog(messages=messages, trace=Trace(texts=("",), steps=(step,)))
    return await ModelJudge(Speaker(OfflineChat())).judge(dialog, Brief(seed=1, turns=1), Calls())


async def test_a_judgement_counts_words_and_says_so() -> None:
    grounded = await judged("A guest code is valid for up to 30 days.")
    invented = await judged("Elephants migrate across savannas during 90 rainy seasons.")
    good, bad = ({score.criterion: score.value or 0.0 for score in one.scores} for one in (grounded, invented))
    assert good["grounding"] == good["factuality"] == 1.0
    assert bad["grounding"] < 0.4
    assert bad["factuality"] == 0.0
    assert bad["helpfulness"] < good["helpfulness"]
    assert all(score.feedback.startswith("Counted offline") for score in grounded.scores)
    assert invented.feedback.startswith("Counted offline")
    assert (grounded.first_bad, invented.first_bad) == (None, 1)


async def test_a_correspondent_prompt_fits_the_assistants() -> None:
    text = await ask(
        "correspondent_prompt", prompts.correspondent_writer("You are the support of Fern Hub, a door lock.")
    )
    assert "Fern Hub" in text
    assert "never answer" in text


async def test_a_test_call_is_answered() -> None:
    assert "offline model" in await ask("test", [Turn("user", "Hello?")])


async def test_prompts_of_another_make_are_read_too() -> None:
    turns = [
        Turn("system", f"Answer from this.\n<context>\n{REFUNDS}\n</context>"),
        Turn("user", "How soon are refunds paid?"),
    ]
    assert "five business days" in await ask("answer", turns)
    assert await ask("instruction", [Turn("user", "Write a question.")])


@pytest.mark.parametrize(
    "text", ["", "   ", "…", "123 456", "<context>", "\x00\ud800", "A" * 20_000, "| a | b |\n|---|---|"]
)
async def test_odd_passages_break_nothing(text: str) -> None:
    odd = (source(1, text),)
    assert await first_question(1, odd)
    assert await answer_to("What is it?", sources=odd)
    assert await follow_up(("What?", text or "Yes."))


async def test_latency_is_as_set_and_tokens_are_estimated() -> None:
    request = ChatRequest("test", (Turn("user", "x" * 400),))
    begun = time.perf_counter()
    completion = await OfflineChat(latency=0.1).complete(request)
    assert 0.1 <= completion.latency <= time.perf_counter() - begun
    assert completion.prompt_tokens == 100
    assert completion.completion_tokens == len(completion.text) // 4
