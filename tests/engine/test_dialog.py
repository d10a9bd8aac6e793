"""One dialog: the order of things, what each side is shown, what is kept, and what an error makes of it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from generation.engine.errors import BadReply, FatalError, TransientError
from generation.engine.modifiers import Chain, WithContext, WithRetrieval
from generation.engine.protocols import (
    Brief,
    CallLog,
    ChatRequest,
    Failed,
    Instruction,
    Made,
    ModifiedPrompt,
    PersonaSketch,
    Verdict,
)
from tests.engine.parts import Library, Model, contextual, in_turn, judge, maker, source
from tests.engine.parts import verdict as judgement


def made(outcome: Made | Failed) -> Made:
    assert isinstance(outcome, Made), outcome
    return outcome


def failed(outcome: Made | Failed) -> Failed:
    assert isinstance(outcome, Failed), outcome
    return outcome


def system_of(request: ChatRequest) -> str:
    assert request.turns[0].role == "system"
    return request.turns[0].content


@pytest.mark.parametrize("turns", [1, 2, 3, 7])
async def test_a_dialog_alternates_and_ends_with_the_assistant(turns: int) -> None:
    dialog = made(await maker(Model()).make(Brief(seed=1, turns=turns))).dialog
    assert [message.role for message in dialog.messages] == ["user", "assistant"] * turns
    assert dialog.turns == turns


@pytest.mark.parametrize("turns", [1, 2, 3])
async def test_a_dialog_of_t_turns_takes_one_instruction_and_2t_minus_1_messages(turns: int) -> None:
    model = Model()
    await maker(model).make(Brief(seed=1, turns=turns))
    operations = [request.operation for request in model.asked]
    assert operations == ["instruction", "answer", *["question", "answer"] * (turns - 1)]


async def test_a_dialog_of_no_turns_fails_by_itself() -> None:
    model = Model()
    assert failed(await maker(model).make(Brief(seed=1, turns=0))).kind == "dialog"
    assert model.asked == []


async def test_the_respondent_is_given_its_prompt_and_the_whole_conversation() -> None:
    model = Model()
    dialog = made(await maker(model).make(Brief(seed=1, turns=2))).dialog
    last = model.of("answer")[-1]
    assert system_of(last).startswith("You help.")
    assert [(turn.role, turn.content) for turn in last.turns[1:]] == [
        (message.role, message.content) for message in dialog.messages[:-1]
    ]


async def test_the_simulated_user_knows_its_first_question_its_persona_and_all_that_was_said() -> None:
    model = Model()
    brief = Brief(seed=1, turns=3, persona=PersonaSketch("Ada", "A night nurse with a broken pump."))
    dialog = made(await maker(model).make(brief)).dialog
    last = model.of("question")[-1]
    assert "A night nurse with a broken pump." in system_of(last)
    assert "You are a person with a real need" in system_of(last)
    own = [turn.content for turn in last.turns if turn.role == "assistant"]
    assert own == [message.content for message in dialog.messages[:4] if message.role == "user"]
    heard = [turn.content for turn in last.turns if turn.role == "user"]
    answers = [message.content for message in dialog.messages[:4] if message.role == "assistant"]
    assert len(heard) == len(answers) + 1
    assert all(answer in told for answer, told in zip(answers, heard[1:], strict=True))
    assert [turn.role for turn in last.turns[1:]] == ["user", "assistant"] * 2 + ["user"]


async def test_the_simulated_user_never_sees_a_passage() -> None:
    secret = source(7, "The pump holds 4.2 litres.")
    model = Model()
    parts = maker(model, instructions=contextual(model), modifier=WithContext())
    made(await parts.make(Brief(seed=1, turns=3, contexts=(secret,))))
    assert "4.2 litres" in model.of("instruction")[0].turns[1].content
    assert all("4.2 litres" in system_of(request) for request in model.of("answer"))
    seen = "".join(turn.content for request in model.of("question") for turn in request.turns)
    assert "4.2 litres" not in seen
    assert "<passage" not in seen


async def test_the_persona_shapes_the_first_question() -> None:
    model = Model()
    await maker(model).make(Brief(seed=1, turns=1, persona=PersonaSketch("Ada", "A night nurse.")))
    assert "A night nurse." in system_of(model.of("instruction")[0])


async def test_a_dialog_without_its_reserved_passages_fails_instead_of_being_made_up() -> None:
    model = Model()
    outcome = failed(await maker(model, instructions=contextual(model)).make(Brief(seed=1, turns=1)))
    assert outcome.kind == "dialog"
    assert "passage" in outcome.error
    assert model.asked == []


# -- retrieval ------------------------------------------------------------------------------------------------------


async def test_passages_are_retrieved_before_every_answer_for_the_latest_message() -> None:
    model = Model()
    library = Library({"reset": (source(1, score=3.5),), "question": (source(2, score=1.5), source(3, score=1.0))})
    outcome = await maker(model, modifier=WithRetrieval(library, with_context=False)).make(Brief(seed=1, turns=2))
    dialog = made(outcome).dialog
    assert library.queries == [dialog.messages[0].content, dialog.messages[2].content]
    first, second = (dialog.trace.written_by(index) for index in (1, 3))
    assert first is not None
    assert second is not None
    assert [(s.passage, s.score) for s in first.sources] == [(1, 3.5)]
    assert [(s.passage, s.score) for s in second.sources] == [(2, 1.5), (3, 1.0)]
    assert "Passage 2" in system_of(model.of("answer")[1])
    assert "Passage 1" not in system_of(model.of("answer")[1])


async def test_passages_can_be_retrieved_once_for_a_whole_dialog() -> None:
    model = Model()
    library = Library({"reset": (source(1, score=3.5),)})
    parts = maker(model, modifier=WithRetrieval(library), every_answer=False)
    dialog = made(await parts.make(Brief(seed=1, turns=3))).dialog
    assert library.queries == ["How do I reset it?"]
    answers = [step for step in dialog.trace.steps if step.operation == "answer"]
    assert [[s.passage for s in step.sources] for step in answers] == [[1], [1], [1]]


async def test_reserved_passages_come_first_and_a_hit_on_one_of_them_gives_it_its_score() -> None:
    library = Library({"": (source(2, score=9.0), source(3, score=4.0))})
    modifier = WithRetrieval(library, with_context=True)
    modified = await modifier.modify("P", Brief(seed=1, turns=1, contexts=(source(1), source(2))), "q")
    assert [(s.passage, s.score) for s in modified.sources] == [(1, None), (2, 9.0), (3, 4.0)]
    assert modified.text.count("Passage 2 says") == 1


async def test_a_search_without_a_hit_is_told_as_such_and_recorded_without_sources() -> None:
    model = Model()
    dialog = made(await maker(model, modifier=WithRetrieval(Library({}))).make(Brief(seed=1, turns=1))).dialog
    system = system_of(model.of("answer")[0])
    assert "brought up nothing" in system
    assert "<context>" not in system
    assert dialog.trace.steps[-1].sources == ()


async def test_a_retriever_that_is_away_makes_a_failure_that_may_pass() -> None:
    class Away:
        async def retrieve(self, query: str) -> tuple[()]:
            raise TransientError("The index does not answer.")

    outcome = failed(await maker(Model(), modifier=WithRetrieval(Away())).make(Brief(seed=1, turns=1)))
    assert (outcome.kind, outcome.error) == ("transient", "The index does not answer.")


async def test_modifiers_in_a_chain_are_applied_in_order_and_their_sources_are_joined() -> None:
    class Adds:
        def __init__(self, word: str, passage: int) -> None:
            self.word, self.passage = word, passage

        async def modify(self, prompt: str, brief: Brief, query: str) -> ModifiedPrompt:
            return ModifiedPrompt(f"{prompt} {self.word}", (source(self.passage), source(9)))

    modified = await Chain((Adds("one", 1), Adds("two", 2))).modify("P", Brief(seed=1, turns=1), "q")
    assert modified.text == "P one two"
    assert [s.passage for s in modified.sources] == [1, 9, 2]


# -- what is kept ---------------------------------------------------------------------------------------------------


async def test_every_message_knows_the_call_that_wrote_it() -> None:
    dialog = made(await maker(Model()).make(Brief(seed=1, turns=2))).dialog
    steps = [dialog.trace.written_by(index) for index in range(4)]
    assert [step.operation for step in steps if step] == ["instruction", "answer", "question", "answer"]
    assert all(step and (step.model, step.prompt_tokens, step.latency_ms) == ("model-1", 10, 250) for step in steps)
    last = steps[3]
    assert last is not None
    assert dialog.trace.texts[last.reply] == dialog.messages[3].content
    shown = [(role, dialog.trace.texts[index]) for role, index in last.request]
    assert shown[1:] == [(message.role, message.content) for message in dialog.messages[:3]]


async def test_no_text_is_kept_twice_in_a_trace() -> None:
    dialog = made(await maker(Model()).make(Brief(seed=1, turns=6))).dialog
    assert len(set(dialog.trace.texts)) == len(dialog.trace.texts)


async def test_the_system_prompt_of_a_dialog_is_the_respondents_own_without_passages() -> None:
    parts = maker(Model(), prompt="You help.\n\n{context}\n\nBe brief.", modifier=WithContext())
    dialog = made(await parts.make(Brief(seed=1, turns=1, contexts=(source(1),)))).dialog
    assert dialog.system_prompt == "You help.\n\nBe brief."


async def test_the_same_brief_asks_the_same_things_with_the_same_seeds() -> None:
    first, second, other = Model(), Model(), Model()
    await maker(first).make(Brief(seed=5, turns=3))
    await maker(second).make(Brief(seed=5, turns=3))
    await maker(other).make(Brief(seed=6, turns=3))
    assert first.asked == second.asked
    seeds = [request.seed for request in first.asked]
    assert len(set(seeds)) == len(seeds)
    assert not set(seeds) & {request.seed for request in other.asked}


async def test_characters_that_a_database_cannot_keep_are_left_out() -> None:
    model = Model(in_turn("answer", "one\x00two \ud800three"))
    dialog = made(await maker(model).make(Brief(seed=1, turns=1))).dialog
    assert dialog.messages[1].content == "onetwo three"
    assert "onetwo three" in dialog.trace.texts


# -- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "no json",
        "{}",
        '{"instructions": []}',
        '{"instructions": [""]}',
        '{"instructions": [3]}',
        '{"instructions": ["a',
    ],
)
async def test_an_unusable_instruction_costs_one_more_call_and_not_the_dialog(nonsense: str) -> None:
    model = Model(in_turn("instruction", nonsense))
    dialog = made(await maker(model).make(Brief(seed=1, turns=1))).dialog
    assert len(model.of("instruction")) == 2
    kept = [(step.operation, step.message) for step in dialog.trace.steps]
    assert kept == [("instruction", None), ("instruction", 0), ("answer", 1)]
    assert len({request.seed for request in model.asked}) == 3


async def test_tries_are_bounded_and_their_cost_is_kept() -> None:
    model = Model(in_turn("answer", *["  "] * 9))
    outcome = failed(await maker(model).make(Brief(seed=1, turns=1)))
    assert outcome.kind == "dialog"
    assert "empty" in outcome.error
    assert len(model.of("answer")) == 3
    assert sum(step.prompt_tokens for step in outcome.steps) == 40


async def test_tokens_that_a_model_lost_on_bad_replies_are_kept() -> None:
    error = BadReply("The reply was cut.")
    error.prompt_tokens, error.completion_tokens, error.tries, error.finish_reason = 30, 600, 3, "length"
    outcome = failed(await maker(Model(in_turn("answer", error))).make(Brief(seed=1, turns=1)))
    assert (outcome.kind, outcome.error) == ("dialog", "The reply was cut.")
    lost = outcome.steps[-1]
    assert (lost.prompt_tokens, lost.completion_tokens, lost.tries, lost.finish) == (30, 600, 3, "length")


async def test_steps_say_why_replies_ended_those_of_no_use_too() -> None:
    model = Model(in_turn("answer", "  "), finish="eos")
    steps = made(await maker(model).make(Brief(seed=1, turns=1))).steps
    assert [(step.operation, step.finish) for step in steps] == [("instruction", "eos"), *[("answer", "eos")] * 2]


@pytest.mark.parametrize(
    ("said", "kept"),
    [("x" * 10**7, "x" * 40), ("a\x00b\ud800\n\tc\x1b[1m\u202e", "ab c[1m"), ("  length ", "length"), ("", "")],
)
async def test_a_servers_words_are_kept_short_and_on_one_line(said: str, kept: str) -> None:
    steps = made(await maker(Model(finish=said)).make(Brief(seed=1, turns=1))).steps
    assert {step.finish for step in steps} == {kept}


async def test_a_model_that_reports_an_endless_name_has_it_cut() -> None:
    steps = made(await maker(Model(name="m" * 1000)).make(Brief(seed=1, turns=1))).steps
    assert {step.model for step in steps} == {"m" * 150}


@pytest.mark.parametrize(
    ("error", "kind"),
    [(FatalError("Wrong key."), "fatal"), (TransientError("Busy."), "transient"), (BadReply("Cut."), "dialog")],
)
async def test_errors_become_failures_of_their_kind_with_the_calls_already_paid(error: Exception, kind: str) -> None:
    outcome = failed(await maker(Model(in_turn("question", error))).make(Brief(seed=1, turns=2)))
    assert (outcome.kind, outcome.error) == (kind, str(error))
    assert [step.operation for step in outcome.steps][:2] == ["instruction", "answer"]


async def test_a_defect_fails_its_dialog_with_its_name_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        outcome = failed(await maker(Model(in_turn("answer", KeyError("oops")))).make(Brief(seed=1, turns=1)))
    assert (outcome.kind, outcome.error) == ("dialog", "KeyError: 'oops'")
    assert [step.operation for step in outcome.steps] == ["instruction"]
    assert "KeyError" in caplog.text


async def test_cancelling_a_dialog_cancels_its_call() -> None:
    task = asyncio.create_task(maker(Model(latency=60)).make(Brief(seed=1, turns=1)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 1)


# -- the judge ------------------------------------------------------------------------------------------------------


async def judged(model: Model, **changes: object) -> Made:
    brief = Brief(seed=1, turns=2, contexts=(source(1, "The pump holds 4.2 litres."),))
    return made(await maker(model, evaluator=judge(model), **changes).make(brief))


def verdict_of(outcome: Made) -> Verdict:
    assert outcome.verdict is not None
    return outcome.verdict


async def test_a_grounded_dialog_is_scored_on_all_criteria_against_its_passages() -> None:
    model = Model()
    outcome = await judged(model, modifier=WithContext())
    verdict = verdict_of(outcome)
    assert {score.criterion: score.value for score in verdict.scores} == {
        "factuality": 0.5,
        "grounding": 0.5,
        "helpfulness": 0.5,
    }
    assert (verdict.overall, verdict.model, verdict.error) == (0.5, "model-1", "")
    asked = model.of("judge")[0].turns[1].content
    assert "4.2 litres" in asked
    assert all(message.content in asked for message in outcome.dialog.messages)
    assert outcome.dialog.trace.steps[-1].operation == "judge"


async def test_grounding_does_not_apply_where_there_were_no_passages() -> None:
    model = Model()
    verdict = verdict_of(await judged(model))
    scores = {score.criterion: score.value for score in verdict.scores}
    assert scores == {"factuality": 0.5, "helpfulness": 0.5, "grounding": None}
    assert verdict.overall == 0.5
    schema = model.of("judge")[0].schema
    assert schema is not None
    assert "grounding" not in schema["properties"]["scores"]["properties"]


async def test_scores_out_of_range_are_asked_for_again() -> None:
    wild = judgement({"factuality": 8, "helpfulness": 0.5})
    model = Model(in_turn("judge", wild))
    verdict = verdict_of(await judged(model))
    assert verdict.overall == 0.5
    assert len(model.of("judge")) == 2


async def test_a_judge_that_fails_gives_no_score_and_keeps_the_dialog() -> None:
    outcome = await judged(Model(in_turn("judge", *["nonsense"] * 3)))
    verdict = verdict_of(outcome)
    assert (verdict.overall, verdict.scores) == (None, ())
    assert "JSON" in verdict.error
    assert len(outcome.dialog.trace.steps) == 4 + 3


async def test_a_refused_key_of_the_judge_stops_like_any_other() -> None:
    model = Model(in_turn("judge", FatalError("Wrong key.")))
    outcome = failed(await maker(model, evaluator=judge(model)).make(Brief(seed=1, turns=1)))
    assert (outcome.kind, len(outcome.steps)) == ("fatal", 2)


async def test_many_dialogs_of_one_maker_do_not_touch_each_other() -> None:
    def echo(request: ChatRequest) -> str:
        said = next(turn.content for turn in request.turns if "#" in turn.content)
        return f"{request.operation} #{said.rpartition('#')[2]}"

    class Numbered:
        async def propose(self, brief: Brief, calls: CallLog) -> list[Instruction]:
            return [Instruction(f"question #{brief.seed}")]

    parts = maker(Model(echo), instructions=Numbered())
    outcomes = await asyncio.gather(*(parts.make(Brief(seed=n, turns=3)) for n in range(100)))
    for n, outcome in enumerate(outcomes):
        assert all(message.content.endswith(f"#{n}") for message in made(outcome).dialog.messages)
