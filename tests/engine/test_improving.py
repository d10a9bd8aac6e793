"""Dialogs that are judged too low are made again: how often, from where, with what in hand, and which one counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest

from datasets.schema import Dialog, Message
from generation.engine.dialog import Improvement, kept_before
from generation.engine.errors import BadReply, FatalError
from generation.engine.protocols import Brief, CallLog, ChatRequest, Failed, Made, ModifiedPrompt, Outcome, Verdict
from tests.engine.parts import Model, maker, reply_to


@dataclass
class Judge:
    """An evaluator that gives these scores one after the other, or raises; the last one for good."""

    scores: Sequence[float | Exception]
    first_bad: int | None = None
    name: str = "judge"
    seen: list[Dialog] = field(default_factory=list)

    async def judge(self, dialog: Dialog, brief: Brief, calls: CallLog) -> Verdict:
        self.seen.append(dialog)
        score = self.scores[min(len(self.seen), len(self.scores)) - 1]
        if isinstance(score, Exception):
            raise score
        return Verdict("judge", "m", (), score, f"Fault number {len(self.seen)}.", first_bad=self.first_bad)


CALLS = count(1)


def talkative(request: ChatRequest) -> str:
    """Another text at each call, so that messages tell which call wrote them."""
    return reply_to(request) if request.operation == "instruction" else f"{request.operation} {next(CALLS)}"


async def improved(judge: Judge, *, attempts: int = 2, turns: int = 1, model: Model | None = None) -> Outcome:
    parts = maker(model or Model(talkative), evaluator=judge, improvement=Improvement(attempts, below=0.7))
    return await parts.make(Brief(seed=1, turns=turns))


def made(outcome: Outcome) -> Made:
    assert isinstance(outcome, Made), outcome
    return outcome


async def test_a_good_dialog_is_left_alone() -> None:
    outcome = made(await improved(Judge([0.7])))
    assert [attempt.origin for attempt in outcome.attempts] == ["generated"]


async def test_a_mean_of_decimals_that_equals_the_threshold_is_good_enough() -> None:
    mean = (0.6 + 0.7 + 0.8) / 3  # 0.6999999999999998
    assert mean < 0.7
    assert len(made(await improved(Judge([mean]))).attempts) == 1


async def test_both_attempts_are_answered_by_the_modified_prompt_and_the_second_is_what_is_judged() -> None:
    class Modifier:
        async def modify(self, prompt: str, brief: Brief, query: str) -> ModifiedPrompt:
            return ModifiedPrompt(f"{prompt} Mind the rain.")

    model, judge = Model(talkative), Judge([0.3, 0.9])
    parts = maker(model, evaluator=judge, improvement=Improvement(2, below=0.7), modifier=Modifier())
    outcome = made(await parts.make(Brief(seed=1, turns=1)))
    systems = [model.of(operation)[0].turns[0].content for operation in ("answer", "improve")]
    assert all("You help. Mind the rain." in system for system in systems)
    assert [dialog.messages for dialog in judge.seen] == [attempt.dialog.messages for attempt in outcome.attempts]
    assert outcome.dialog.messages == judge.seen[1].messages


async def test_without_a_judge_nothing_is_improved() -> None:
    parts = maker(Model(talkative), improvement=Improvement(2, below=0.7))
    outcome = made(await parts.make(Brief(seed=1, turns=1)))
    assert [(attempt.origin, attempt.verdict) for attempt in outcome.attempts] == [("generated", None)]


async def test_bad_then_good_takes_exactly_two_generations_and_the_second_counts() -> None:
    outcome = made(await improved(Judge([0.3, 0.9])))
    assert [attempt.overall for attempt in outcome.attempts] == [0.3, 0.9]
    assert [attempt.origin for attempt in outcome.attempts] == ["generated", "improved"]
    assert outcome.attempts[1].parent == 0
    assert outcome.dialog is outcome.attempts[1].dialog


async def test_attempts_are_bounded_and_the_best_one_counts_even_if_it_is_not_the_last() -> None:
    outcome = made(await improved(Judge([0.2, 0.5, 0.4, 0.3]), attempts=3))
    assert [attempt.overall for attempt in outcome.attempts] == [0.2, 0.5, 0.4, 0.3]
    assert outcome.best == 1
    assert [attempt.parent for attempt in outcome.attempts] == [None, 0, 1, 1]


async def test_what_the_judge_said_and_the_rejected_answer_go_into_the_next_attempt() -> None:
    model = Model(talkative)
    outcome = made(await improved(Judge([0.1, 0.9]), model=model))
    (request,) = model.of("improve")
    system = request.turns[0].content
    assert "Fault number 1." in system
    assert outcome.attempts[0].dialog.messages[-1].content in system
    assert outcome.dialog.messages[-1].content not in system
    assert outcome.dialog.system_prompt == "You help."


async def test_a_repair_begins_at_the_first_bad_answer_and_keeps_what_came_before() -> None:
    model = Model(talkative)
    outcome = made(await improved(Judge([0.1, 0.9], first_bad=3), turns=3, model=model))
    before, after = (attempt.dialog.messages for attempt in outcome.attempts)
    assert after[:3] == before[:3]
    assert all(new.content != old.content for new, old in zip(after[3:], before[3:], strict=True))
    assert [message.role for message in after] == ["user", "assistant"] * 3
    assert len(model.of("improve")) == 2
    assert len(model.of("instruction")) == 1


async def test_the_trace_of_an_improved_dialog_tells_who_wrote_each_of_its_messages_and_the_bill_has_all_calls() -> (
    None
):
    model = Model(talkative)
    outcome = made(await improved(Judge([0.1, 0.9], first_bad=3), turns=2, model=model))
    trace = outcome.dialog.trace
    written = [trace.written_by(index) for index in range(1, 4)]
    assert [trace.texts[step.reply] for step in written if step] == [
        message.content for message in outcome.dialog.messages[1:]
    ]
    assert len(outcome.steps) == len(model.asked) == 1 + 3 + 1


async def test_attempts_ask_under_other_seeds() -> None:
    model = Model()
    await improved(Judge([0.1]), attempts=2, model=model)
    seeds = [request.seed for request in model.asked if request.operation in ("answer", "improve")]
    assert len(set(seeds)) == len(seeds) == 3


async def test_a_judge_that_fails_gives_no_number_and_nothing_is_improved_on_it() -> None:
    outcome = made(await improved(Judge([BadReply("No scores.")])))
    assert [attempt.overall for attempt in outcome.attempts] == [None]
    assert outcome.verdict is not None
    assert outcome.verdict.error == "No scores."


async def test_a_judge_that_fails_on_the_second_attempt_leaves_the_first_in_place() -> None:
    outcome = made(await improved(Judge([0.3, BadReply("No scores.")]), attempts=5))
    assert [attempt.overall for attempt in outcome.attempts] == [0.3, None]
    assert outcome.best == 0


async def test_an_attempt_that_breaks_costs_only_itself() -> None:
    def say(request: ChatRequest) -> str | Exception:
        return BadReply("Gone.") if request.operation == "improve" else reply_to(request)

    outcome = made(await improved(Judge([0.3]), model=Model(say)))
    assert [attempt.overall for attempt in outcome.attempts] == [0.3]


async def test_a_refused_key_while_improving_stops_like_any_other() -> None:
    def say(request: ChatRequest) -> str | Exception:
        return FatalError("Wrong key.") if request.operation == "improve" else reply_to(request)

    outcome = await improved(Judge([0.3]), model=Model(say))
    assert isinstance(outcome, Failed)
    assert outcome.kind == "fatal"


async def test_many_dialogs_improve_side_by_side_without_mixing() -> None:
    class Alternating:
        name = "judge"

        async def judge(self, dialog: Dialog, brief: Brief, calls: CallLog) -> Verdict:
            await asyncio.sleep(0)
            return Verdict("judge", "m", (), 0.1 if "improve" not in dialog.messages[-1].content else 0.9, "Bad.")

    parts = maker(Model(talkative), evaluator=Alternating(), improvement=Improvement(2))
    outcomes = await asyncio.gather(*(parts.make(Brief(seed=n, turns=2)) for n in range(20)))
    assert all(made(outcome).best == 1 for outcome in outcomes)


def talk(*roles: str) -> Dialog:
    return Dialog(messages=tuple(Message(role=role, content=role) for role in roles))  # type: ignore[arg-type]


@pytest.mark.parametrize(("bad", "kept"), [(None, 1), (0, 1), (1, 1), (2, 1), (3, 3), (5, 5), (99, 5)])
def test_what_is_kept_ends_with_the_question_before_the_bad_message(bad: int | None, kept: int) -> None:
    assert kept_before(talk(*["user", "assistant"] * 3), bad) == kept


def test_a_bad_answer_after_tools_is_mended_from_its_question_on() -> None:
    dialog = talk("user", "assistant", "user", "assistant", "tool", "assistant")
    assert kept_before(dialog, 5) == 3
