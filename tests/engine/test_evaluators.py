"""Evaluators: what a dialog is scored by, what the scores come to, and what is said when there is no score."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import ValidationError

from datasets.schema import Dialog, Message, Score, Source, Step, ToolCall, Trace
from generation.engine.calls import Calls
from generation.engine.errors import DialogError, EngineError, FatalError, TransientError
from generation.engine.evaluators import BUILT_IN, Criterion, ModelJudge, Panel, VectorJudge, assemble
from generation.engine.judging import Aggregation, CustomEvaluator, EmbeddingChoice, Grades, Judging
from generation.engine.protocols import Brief, CallLog, Speaker, Verdict
from generation.engine.providers import ClientPool, OpenAIChat, OpenAIEmbedder, RetryPolicy, Server
from tests.engine.parts import Model, in_turn, source, verdict
from tests.fixtures_model_server import RunningModelServer

BRIEF = Brief(seed=1, turns=2)
QUICK = RetryPolicy(tries=2, base=0.02, longest=0.05)
FAIR = {"factuality": 0.5, "grounding": 0.5, "helpfulness": 0.5}


def talk(*texts: str, sources: Sequence[Source] = ()) -> Dialog:
    """A dialog of questions and answers in turn, each answer given the same passages."""
    messages = [Message(role="user" if n % 2 == 0 else "assistant", content=text) for n, text in enumerate(texts)]
    steps = [
        Step(operation="answer", model="m", request=(), reply=0, message=n, sources=tuple(sources))
        for n in range(1, len(texts), 2)
    ]
    return Dialog(messages=tuple(messages), trace=Trace(texts=("",), steps=tuple(steps)))


TALK = talk("How do I reset it?", "Hold the button.", "And then?", "Let go.", sources=[source(1)])
UNGROUNDED = talk("How do I reset it?", "Hold the button.", "And then?", "Let go.")


@dataclass
class Says:
    """An evaluator that gives these scores, or raises."""

    scores: dict[str, float | None] = field(default_factory=dict)
    error: Exception | None = None
    name: str = "says"
    feedback: str = ""
    first_bad: int | None = None
    overall: float | None = None
    delay: float = 0.0
    done: bool = False

    async def judge(self, dialog: Dialog, brief: Brief, calls: CallLog) -> Verdict:
        await asyncio.sleep(self.delay)
        self.done = True
        if self.error:
            raise self.error
        scores = tuple(Score(criterion=name, value=value) for name, value in self.scores.items())
        return Verdict(self.name, "", scores, self.overall, self.feedback, first_bad=self.first_bad)


@dataclass
class Compass:
    """An embedder of two dimensions: north, east, or what is set for a text."""

    vectors: dict[str, list[float]]
    asked: list[list[str]] = field(default_factory=list)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked.append(list(texts))
        return [self.vectors[text] for text in texts]


async def judged(panel: Panel, dialog: Dialog = TALK) -> Verdict:
    return await panel.judge(dialog, BRIEF, Calls())


def values(verdict: Verdict) -> dict[str, float | None]:
    return {score.criterion: score.value for score in verdict.scores}


# -- what scores come to ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("aggregation", "weights", "overall"),
    [
        ("mean", {}, 0.5),
        ("mean", {"a": 3}, 0.5),
        ("min", {}, 0.2),
        ("weighted", {}, 0.5),
        ("weighted", {"a": 1, "b": 3}, 0.65),
    ],
)
async def test_scores_come_together_as_their_mean_weighted_mean_or_least(
    aggregation: Aggregation, weights: dict[str, float], overall: float
) -> None:
    panel = Panel((Says({"a": 0.2}), Says({"b": 0.8})), weights, aggregation)
    assert (await judged(panel)).overall == pytest.approx(overall)


async def test_the_weight_of_an_evaluator_is_that_of_each_of_its_criteria() -> None:
    panel = Panel((Says({"a": 0.2}, name="strict"), Says({"b": 0.8})), {"strict": 3}, "weighted")
    assert (await judged(panel)).overall == pytest.approx((3 * 0.2 + 0.8) / 4)


@pytest.mark.parametrize("aggregation", ["mean", "weighted", "min"])
async def test_a_criterion_that_does_not_apply_counts_neither_for_nor_against(aggregation: Aggregation) -> None:
    verdict = await judged(Panel((Says({"a": 0.6, "b": None}),), {"b": 50}, aggregation))
    assert verdict.overall == pytest.approx(0.6)
    assert values(verdict) == {"a": 0.6, "b": None}


async def test_where_no_criterion_applies_there_is_neither_a_score_nor_a_grade_nor_an_error() -> None:
    verdict = await judged(Panel((Says({"a": None}),)))
    assert (verdict.overall, verdict.grade, verdict.error) == (None, "", "")


async def test_an_evaluator_with_nothing_but_an_overall_score_is_a_criterion_by_itself() -> None:
    verdict = await judged(Panel((Says({"a": 0.2}), Says(name="length", overall=0.8))))
    assert values(verdict) == {"a": 0.2, "length": 0.8}
    assert verdict.overall == 0.5


# -- grades -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overall", "grade"),
    [
        (1.0, "perfect"), (0.88, "perfect"), (0.879, "good"), (0.72, "good"), (0.71, "needs_improvement"),
        (0.52, "needs_improvement"), (0.5, "bad"), (0.32, "bad"), (0.31, "not_acceptable"), (0.0, "not_acceptable"),
    ],
)  # fmt: skip
async def test_an_overall_score_has_a_grade(overall: float, grade: str) -> None:
    assert (await judged(Panel((Says({"a": overall}),)))).grade == grade


async def test_thresholds_of_ones_own_give_other_grades() -> None:
    mild = Grades(perfect=0.5, good=0.4, needs_improvement=0.3, bad=0.2)
    assert (await judged(Panel((Says({"a": 0.98}),), grades=mild))).grade == "perfect"
    assert (await judged(Panel((Says({"a": 0.41}),), grades=mild))).grade == "good"
    assert (await judged(Panel((Says({"a": 0.41}),)))).grade == "bad"


def test_a_mean_of_decimals_meets_the_threshold_that_it_equals() -> None:
    assert Grades().of((0.7 + 0.7 + 0.76) / 3) == "good"


@pytest.mark.parametrize("grades", [{"perfect": 0.7}, {"good": 0.52}, {"bad": 0.9}, {"perfect": 1.2}])
def test_thresholds_that_do_not_fall_are_refused(grades: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Grades.model_validate(grades)


# -- what goes wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [DialogError("No usable reply."), TransientError("The server is away.")])
async def test_a_judge_that_fails_leaves_an_error_and_the_scores_of_the_others_but_no_number(
    error: EngineError,
) -> None:
    verdict = await judged(Panel((Says({"a": 0.9}), Says(error=error, name="vector_judge"))))
    assert (verdict.overall, verdict.grade) == (None, "")
    assert verdict.error == f"vector judge: {error}"
    assert values(verdict) == {"a": 0.9}


async def test_what_stops_a_run_stops_a_panel_when_all_of_it_has_come_to_rest() -> None:
    slow = Says({"a": 0.9}, delay=0.05)
    with pytest.raises(FatalError, match="Wrong key"):
        await judged(Panel((Says(error=FatalError("Wrong key.")), slow)))
    assert slow.done


async def test_evaluators_are_asked_at_the_same_time() -> None:
    panel = Panel(tuple(Says({"a": 1.0}, delay=0.2) for _ in range(5)))
    await asyncio.wait_for(judged(panel), 0.6)


async def test_feedback_is_joined_and_the_earliest_bad_message_counts() -> None:
    panel = Panel(
        (
            Says({"a": 0.4}, feedback="Too long.", first_bad=3, name="one"),
            Says({"b": 0.4}, feedback="Too vague.", first_bad=1, name="two"),
        )
    )
    verdict = await judged(panel)
    assert verdict.feedback == "Too long.\nToo vague."
    assert verdict.first_bad == 1


# -- a model's judgement ------------------------------------------------------------------------------------------------


async def ask_model(
    model: Model, dialog: Dialog = TALK, criteria: Sequence[Criterion] = tuple(BUILT_IN.values())
) -> Verdict:
    return await ModelJudge(Speaker(model), tuple(criteria)).judge(dialog, BRIEF, Calls())


async def test_one_call_scores_all_criteria_and_says_what_is_to_be_mended_first() -> None:
    said = verdict(FAIR | {"helpfulness": 0.2}, first_bad="4", feedback="Say what to let go of.")
    model = Model(in_turn("judge", said))
    heard = await ask_model(model)
    assert values(heard) == FAIR | {"helpfulness": 0.2}
    assert heard.overall == pytest.approx(0.4)
    assert (heard.feedback, heard.first_bad) == ("Say what to let go of.", 3)
    assert [score.feedback for score in heard.scores] == ["fair"] * 3
    assert len(model.asked) == 1


async def test_what_a_judge_scores_unasked_is_passed_over() -> None:
    said = json.loads(verdict(FAIR))
    said["scores"] |= {"overall": 0.9, "style": {"score": 90}}
    heard = await ask_model(Model(in_turn("judge", json.dumps(said))))
    assert values(heard) == FAIR


@pytest.mark.parametrize(("said", "index"), [("none", None), (None, None), ("", None), (2, 1), ("2", 1), (" 4 ", 3)])
async def test_the_first_bad_message_is_read_as_models_write_it(said: object, index: int | None) -> None:
    assert (await ask_model(Model(in_turn("judge", verdict(FAIR, first_bad=said))))).first_bad == index


@pytest.mark.parametrize(
    "nonsense",
    [
        verdict(FAIR | {"helpfulness": 8}),
        verdict(FAIR | {"helpfulness": -0.1}),
        verdict({"factuality": 0.5}),
        verdict(FAIR, first_bad="1"),
        verdict(FAIR, first_bad="5"),
        verdict(FAIR, first_bad="the second"),
        '{"scores": {}}',
        "prose",
    ],
    ids=["above one", "below zero", "criteria left out", "the user's", "no such message", "words", "half", "prose"],
)
async def test_a_judgement_that_cannot_be_is_asked_for_again_and_then_fails(nonsense: str) -> None:
    again = Model(in_turn("judge", nonsense))
    assert (await ask_model(again)).overall == 0.5
    assert len(again.asked) == 2
    hopeless = Model(lambda request: nonsense)
    heard = await judged(Panel((ModelJudge(Speaker(hopeless)),)))
    assert (heard.overall, heard.scores, heard.grade) == (None, (), "")
    assert heard.error.startswith("model judge: No usable reply in 3 tries")


async def test_grounding_does_not_apply_to_a_dialog_without_passages() -> None:
    model = Model()
    heard = await ask_model(model, UNGROUNDED)
    assert values(heard) == {"factuality": 0.5, "grounding": None, "helpfulness": 0.5}
    assert "grounding" not in str(model.asked[0].schema)
    assert "<context>" not in model.asked[0].turns[1].content


async def test_nothing_is_asked_where_no_criterion_applies() -> None:
    model = Model()
    heard = await ask_model(model, UNGROUNDED, [BUILT_IN["grounding"]])
    assert (heard.overall, values(heard), model.asked) == (None, {"grounding": None}, [])


async def test_a_project_judges_by_criteria_of_its_own() -> None:
    tone = Criterion("tone", "Warm and brief. Bad: cold, or longer than four sentences.", needs_passages=False)
    law = Criterion("Zitierweise (§)", "Nennt den Paragraphen.", needs_passages=True)
    model = Model()
    heard = await ask_model(model, TALK, [tone, law])
    assert values(heard) == {"tone": 0.5, "Zitierweise (§)": 0.5}
    told = model.asked[0].turns[0].content
    assert "- tone: Warm and brief. Bad: cold" in told
    assert "- criterion-2: “Zitierweise (§)”. Nennt den Paragraphen." in told
    assert list((model.asked[0].schema or {})["properties"]["scores"]["properties"]) == ["tone", "criterion-2"]
    assert values(await ask_model(Model(), UNGROUNDED, [tone, law])) == {"tone": 0.5, "Zitierweise (§)": None}


async def test_the_judge_sees_every_message_with_its_number_and_every_passage_once() -> None:
    model = Model()
    await ask_model(model, talk("Why?", "Because.", "Really?", "Yes.", sources=[source(1, "Water boils.")]))
    shown = model.asked[0].turns[1].content
    assert '<message from="user" number="1">\nWhy?' in shown
    assert '<message from="assistant" number="4">\nYes.' in shown
    assert shown.count("Water boils.") == 1


async def test_the_judge_sees_which_tools_were_used_and_what_they_gave() -> None:
    used = Dialog(
        messages=(
            Message(role="system", content="You help."),
            Message(role="user", content="Is it late?"),
            Message(
                role="assistant", content="", tool_calls=(ToolCall(id="1", name="clock", arguments={"zone": "CET"}),)
            ),
            Message(role="tool", content='{"time": "12:00"}', tool_call_id="1"),
            Message(role="assistant", content="It is noon."),
        )
    )
    model = Model(in_turn("judge", verdict({"factuality": 0.5, "helpfulness": 0.5}, first_bad="3")))
    heard = await ask_model(model, used)
    shown = model.asked[0].turns[1].content
    assert 'number="3">\nUses clock with {"zone": "CET"}' in shown
    assert '<message from="tool" number="4">\n{"time": "12:00"}' in shown
    assert "You help." not in shown
    assert heard.first_bad == 2


# -- embeddings ---------------------------------------------------------------------------------------------------------

NORTH, EAST, BETWEEN, SOUTH = [2.0, 0.0], [0.0, 3.0], [1.0, 1.0], [-1.0, 0.0]


async def compare(vectors: dict[str, list[float]], dialog: Dialog, brief: Brief = BRIEF) -> dict[str, float | None]:
    return values(await VectorJudge(Compass(vectors)).judge(dialog, brief, Calls()))


async def test_coherence_is_how_near_answers_are_to_their_questions() -> None:
    vectors = {"q1": NORTH, "a1": NORTH, "q2": NORTH, "a2": BETWEEN}
    scores = await compare(vectors, talk("q1", "a1", "q2", "a2"))
    assert scores["coherence"] == pytest.approx((1 + 2**-0.5) / 2)


async def test_grounding_is_how_near_each_answer_is_to_the_nearest_passage_that_it_was_given() -> None:
    vectors = {"q": NORTH, "a": EAST, "p1": NORTH, "p2": EAST}
    scores = await compare(vectors, talk("q", "a", sources=[source(1, "p1"), source(2, "p2")]))
    assert scores["vector_grounding"] == pytest.approx(1.0)
    assert scores["coherence"] == pytest.approx(0.0)


async def test_relevance_is_how_near_questions_are_to_what_the_dialog_was_written_from() -> None:
    vectors = {"q1": NORTH, "a1": EAST, "q2": EAST, "a2": EAST, "p": NORTH}
    brief = Brief(seed=1, turns=2, contexts=(source(1, "p"),))
    scores = await compare(vectors, talk("q1", "a1", "q2", "a2"), brief)
    assert scores == {"coherence": pytest.approx(0.5), "relevance": pytest.approx(0.5), "vector_grounding": None}


async def test_without_passages_grounding_and_relevance_do_not_apply() -> None:
    judge = VectorJudge(Compass({"q": NORTH, "a": BETWEEN}))
    heard = await judge.judge(talk("q", "a"), BRIEF, Calls())
    assert values(heard) == {"coherence": pytest.approx(2**-0.5), "relevance": None, "vector_grounding": None}
    assert heard.overall == pytest.approx(2**-0.5)
    assert heard.feedback == "Coherence: lowest at answer 1 (0.71)."


async def test_opposite_directions_are_as_bad_as_unrelated_ones() -> None:
    assert (await compare({"q": NORTH, "a": SOUTH}, talk("q", "a")))["coherence"] == 0.0


async def test_a_dialog_takes_one_call_to_the_embedder_and_no_text_is_sent_twice_or_whole_if_long() -> None:
    long = "x" * 9000
    texts = {"q": NORTH, "a": EAST, long[:4000]: NORTH}
    embedder = Compass(texts)
    brief = Brief(seed=1, turns=2, contexts=(source(1, long),))
    await VectorJudge(embedder).judge(talk("q", "a", "q", "a", sources=[source(1, long)]), brief, Calls())
    assert [sorted(asked) for asked in embedder.asked] == [["a", "q", long[:4000]]]


async def test_an_answer_by_way_of_tools_is_compared_by_its_last_words() -> None:
    messages = (
        Message(role="user", content="q"),
        Message(role="assistant", content="wait", tool_calls=(ToolCall(id="1", name="f", arguments={}),)),
        Message(role="tool", content="{}", tool_call_id="1"),
        Message(role="assistant", content="a"),
    )
    assert (await compare({"q": NORTH, "a": NORTH}, Dialog(messages=messages)))["coherence"] == pytest.approx(1.0)


@pytest.mark.parametrize("vector", [[float("nan"), 0.0], [float("inf"), 0.0], [1.0, 0.0, 0.0]])
async def test_vectors_that_cannot_be_are_a_failure_and_no_score(vector: list[float]) -> None:
    verdict = await judged(Panel((VectorJudge(Compass({"q": NORTH, "a": vector})),)), talk("q", "a"))
    assert verdict.overall is None
    assert verdict.error.startswith("vector judge: The embedding model gave")


# -- as a recipe says -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("judging", "words"),
    [
        ({"weights": {}}, "at least one criterion"),
        ({"weights": {"coherence": 1}}, "Choose an embedding model to judge by coherence"),
        ({"weights": {"charm": 1}}, "charm"),
        ({"weights": {"factuality": 0}}, "greater than 0"),
        ({"aggregation": "median"}, "'mean', 'weighted' or 'min'"),
        ({"threshold": 1}, "Extra inputs"),
    ],
)
def test_a_recipe_that_cannot_be_judged_by_is_refused(judging: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Judging.model_validate(judging)


async def test_a_panel_is_put_together_as_the_recipe_says() -> None:
    judging = Judging(
        weights={"helpfulness": 2, "coherence": 1},
        others=(CustomEvaluator(name="length", weight=4),),
        aggregation="weighted",
        embedding=EmbeddingChoice(endpoint=1),
        grades=Grades(perfect=0.99),
    )
    own = [Criterion("tone", "Warm.", weight=3)]
    embedder = Compass(dict.fromkeys(["How do I reset it?", "Hold the button.", "And then?", "Let go."], NORTH))
    panel = assemble(
        judging,
        speaker=Speaker(Model()),
        own=own,
        embedder=embedder,
        embedding_model="embedder-1",
        others=[Says(name="length", overall=0.9)],
    )
    verdict = await judged(panel)
    assert values(verdict) == {"helpfulness": 0.5, "tone": 0.5, "coherence": pytest.approx(1.0), "length": 0.9}
    assert verdict.overall == pytest.approx((2 * 0.5 + 3 * 0.5 + 1 + 4 * 0.9) / 10)
    assert (verdict.model, verdict.grade) == ("model-1, embedder-1", "needs_improvement")


def test_a_panel_lacks_nothing_in_silence() -> None:
    with pytest.raises(ValueError, match="endpoint for the judge"):
        assemble(Judging())
    by_vectors = Judging(weights={"coherence": 1}, embedding=EmbeddingChoice(endpoint=1))
    with pytest.raises(ValueError, match="embedding model"):
        assemble(by_vectors)


# -- on a server ----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def panel(model_server: RunningModelServer) -> AsyncIterator[Panel]:
    server = Server(base_url=model_server.base_url, api_key="good")
    name = "test-embedding"
    weights = {"factuality": 1, "grounding": 1, "helpfulness": 1, "coherence": 1, "relevance": 1, "vector_grounding": 1}
    judging = Judging.model_validate({"weights": weights, "embedding": {"endpoint": 1}})
    async with ClientPool() as pool:
        speaker = Speaker(OpenAIChat(pool, server, "test-model"))
        yield assemble(
            judging, speaker=speaker, embedder=OpenAIEmbedder(pool, server, name, QUICK), embedding_model=name
        )


ABOUT_PUMPS = source(1, "The pump is reset by holding the green button for ten seconds.")
PUMPS = Brief(seed=1, turns=1, contexts=(ABOUT_PUMPS,))


async def test_a_dialog_is_judged_by_a_model_and_by_embeddings_in_two_requests(
    panel: Panel, model_server: RunningModelServer
) -> None:
    near = talk("How is the pump reset?", "The pump is reset by holding the green button.", sources=[ABOUT_PUMPS])
    far = talk("How is the pump reset?", "Elephants migrate across wide savannas.", sources=[ABOUT_PUMPS])
    calls = Calls()
    good, bad = [await panel.judge(dialog, PUMPS, calls) for dialog in (near, far)]
    assert model_server.stats()["requests"] == {"/v1/chat/completions": 2, "/v1/embeddings": 2}
    assert good.error == bad.error == ""
    assert good.overall is not None
    assert (good.model, good.grade != "") == ("test-model, test-embedding", True)
    for name in ("coherence", "vector_grounding"):
        assert (values(good)[name] or 0) > 0.3 > (values(bad)[name] or 0)
    assert values(good)["relevance"] == values(bad)["relevance"]
    assert [step.operation for step in calls.trace.steps] == ["judge", "judge"]


async def test_embeddings_that_are_away_leave_the_models_scores_and_no_overall_score(
    panel: Panel, model_server: RunningModelServer
) -> None:
    model_server.control(models=["test-model"])
    with pytest.raises(FatalError, match="test-embedding"):
        await panel.judge(TALK, PUMPS, Calls())
    model_server.control(models=None, faults=[{"kind": "status", "status": 503, "path": "/v1/embeddings", "count": 99}])
    verdict = await panel.judge(TALK, PUMPS, Calls())
    assert (verdict.overall, verdict.grade) == (None, "")
    assert verdict.error.startswith("vector judge: ")
    assert set(values(verdict)) == {"factuality", "grounding", "helpfulness"}
