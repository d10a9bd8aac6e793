"""Retrievers that wrap others: patience, caching, one after the other, several at once."""

from __future__ import annotations

import asyncio
import random

import pytest

from datasets.schema import Source
from generation.engine.errors import FatalError, TransientError
from generation.engine.modifiers import WithRetrieval
from generation.engine.prompts import nothing_found
from generation.engine.protocols import Brief
from generation.engine.retrievers import Cached, Chained, Ensemble, Patient, Static, ask
from tests.engine.parts import source


class Shaky:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked = 0

    async def retrieve(self, query: str) -> tuple[Source, ...]:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return (source(1, score=1.0),)


class Library:
    """Finds its sources after `seconds`, and remembers what it was asked."""

    def __init__(self, *sources: Source, seconds: float = 0.0) -> None:
        self.sources, self.seconds = sources, seconds
        self.asked: list[str] = []

    async def retrieve(self, query: str) -> tuple[Source, ...]:
        self.asked.append(query)
        await asyncio.sleep(self.seconds)
        return self.sources


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def text(said: str, *, score: float | None = None) -> Source:
    """A text that is not in the archive."""
    return Source(passage=0, document=0, title="Elsewhere", text=said, start=0, end=len(said), score=score)


def passages(found: tuple[Source, ...]) -> list[int]:
    return [each.passage for each in found]


# -- a miss ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["No relevant context found.", " no relevant context found.\n", "", "  \n "])
async def test_a_text_that_says_that_there_is_none_is_a_miss(said: str) -> None:
    assert await ask(Library(text(said)), "q") == ()
    assert await ask(Library(text(said), source(1)), "q") == (source(1),)


async def test_the_miss_text_of_a_custom_retriever_never_reaches_the_model() -> None:
    modifier = WithRetrieval(Library(text("No relevant context found.")), with_context=False)
    modified = await modifier.modify("You help.", Brief(seed=1, turns=1), "q")
    assert modified.text == nothing_found("You help.")
    assert modified.sources == ()
    assert "relevant context" not in modified.text


async def test_what_is_no_source_is_refused_by_the_name_of_who_returned_it() -> None:
    class Texts:
        async def retrieve(self, query: str) -> str:
            return "a text"

    with pytest.raises(TypeError, match="Texts returned str where sources were expected"):
        await ask(Texts(), "q")  # type: ignore[arg-type]


async def test_the_briefing_and_what_is_retrieved_stand_together_with_their_scores() -> None:
    retriever = Static((source(2, score=0.5), text("Outside.", score=0.4), text("Elsewhere.", score=0.3)))
    brief = Brief(seed=1, turns=1, contexts=(source(1), source(2)))
    modified = await WithRetrieval(retriever).modify("You help.", brief, "q")
    assert [(each.passage, each.text, each.score) for each in modified.sources] == [
        (1, source(1).text, None),
        (2, source(2).text, 0.5),
        (0, "Outside.", 0.4),
        (0, "Elsewhere.", 0.3),
    ]


async def test_what_a_retriever_says_of_a_find_stays_with_it_through_caches_chains_and_ensembles() -> None:
    said = {"collection_name": "court", "id": "point-4"}
    found = text("Outside.", score=0.5).model_copy(update={"metadata": said})
    retriever = Cached(Chained((Library(), Ensemble(((Library(found), 1.0),)))))
    modified = await WithRetrieval(retriever).modify("P", Brief(seed=1, turns=1, contexts=(source(1),)), "q")
    assert [each.metadata for each in modified.sources] == [{}, said]


# -- patience --------------------------------------------------------------------------------------------------------


async def test_an_index_that_comes_back_is_asked_again() -> None:
    shaky = Shaky(TransientError("away"), TransientError("away"))
    assert len(await Patient(shaky, (0.0, 0.0)).retrieve("q")) == 1
    assert shaky.asked == 3


async def test_patience_has_an_end() -> None:
    shaky = Shaky(*[TransientError("away")] * 9)
    with pytest.raises(TransientError):
        await Patient(shaky, (0.0, 0.0)).retrieve("q")
    assert shaky.asked == 3


async def test_other_errors_are_passed_on_at_once() -> None:
    shaky = Shaky(FatalError("no such corpus"))
    with pytest.raises(FatalError):
        await Patient(shaky).retrieve("q")
    assert shaky.asked == 1


# -- static ----------------------------------------------------------------------------------------------------------


async def test_static_sources_are_found_whatever_is_asked() -> None:
    fixed = (source(1, score=0.5), text("Always this."))
    assert await Static(fixed).retrieve("one") == await Static(fixed).retrieve("two") == fixed
    assert await Static(()).retrieve("one") == ()


# -- cached ----------------------------------------------------------------------------------------------------------


async def test_the_same_question_is_asked_once_and_keeps_its_scores() -> None:
    library = Library(source(1, score=0.83), text("Outside.", score=0.7))
    cached = Cached(library)
    assert await cached.retrieve("q") == await cached.retrieve("q") == library.sources
    assert library.asked == ["q"]


async def test_an_answer_is_asked_for_anew_when_its_time_is_over() -> None:
    library, clock = Library(source(1)), Clock()
    cached = Cached(library, ttl=60, clock=clock)
    for clock.now in (0.0, 59.9, 60.0, 100.0, 120.0):
        await cached.retrieve("q")
    assert len(library.asked) == 3


async def test_the_longest_unused_question_makes_room() -> None:
    library = Library(source(1))
    cached = Cached(library, size=2)
    for query in ("a", "b", "a", "c", "a", "b"):
        await cached.retrieve(query)
    assert library.asked == ["a", "b", "c", "b"]


async def test_who_asks_the_same_at_the_same_time_shares_one_request() -> None:
    library = Library(source(1), seconds=0.02)
    cached = Cached(library)
    found = await asyncio.gather(*(cached.retrieve("q") for _ in range(20)), cached.retrieve("other"))
    assert all(each == library.sources for each in found)
    assert sorted(library.asked) == ["other", "q"]


async def test_whoever_asked_first_may_be_cancelled_without_harm_to_the_others() -> None:
    library = Library(source(1), seconds=0.05)
    cached = Cached(library)
    first = asyncio.create_task(cached.retrieve("q"))
    second = asyncio.create_task(cached.retrieve("q"))
    await asyncio.sleep(0.01)
    first.cancel()
    assert await second == library.sources
    with pytest.raises(asyncio.CancelledError):
        await first
    assert library.asked == ["q"]


async def test_an_error_reaches_all_who_wait_and_is_not_kept() -> None:
    shaky = Shaky(TransientError("away"))
    cached = Cached(shaky)
    outcomes = await asyncio.gather(cached.retrieve("q"), cached.retrieve("q"), return_exceptions=True)
    assert all(isinstance(outcome, TransientError) for outcome in outcomes)
    assert passages(await cached.retrieve("q")) == [1]
    assert shaky.asked == 2


@pytest.mark.parametrize(("size", "ttl"), [(0, 60), (10, 0)])
def test_a_cache_that_keeps_nothing_is_refused(size: int, ttl: float) -> None:
    with pytest.raises(ValueError, match="at least one query"):
        Cached(Library(), size, ttl)


# -- chained ---------------------------------------------------------------------------------------------------------


async def test_the_next_is_asked_only_while_there_is_too_little_text() -> None:
    short, long, never = Library(source(1, "x" * 49)), Library(source(2, "y" * 10)), Library(source(3))
    assert passages(await Chained((short, long, never)).retrieve("q")) == [1, 2]
    assert (short.asked, long.asked, never.asked) == (["q"], ["q"], [])
    enough = Library(source(1, "x" * 50))
    assert passages(await Chained((enough, never)).retrieve("q")) == [1]


async def test_a_miss_and_a_miss_text_lead_on_to_the_next() -> None:
    chain = Chained((Library(), Library(text("No relevant context found.")), Library(source(7))))
    assert passages(await chain.retrieve("q")) == [7]


async def test_when_all_miss_nothing_is_found() -> None:
    assert await Chained((Library(), Library(text("No relevant context found.")))).retrieve("q") == ()
    assert await Chained(()).retrieve("q") == ()


async def test_what_two_of_a_chain_find_stands_there_once() -> None:
    chain = Chained((Library(source(1, score=0.9)), Library(source(1, score=0.1), source(2))), enough=10_000)
    found = await chain.retrieve("q")
    assert [(each.passage, each.score) for each in found] == [(1, 0.9), (2, None)]


# -- ensemble --------------------------------------------------------------------------------------------------------


async def test_the_heavier_member_comes_first() -> None:
    light, heavy = Library(source(1), source(2)), Library(source(3), source(4))
    assert passages(await Ensemble(((light, 1.0), (heavy, 2.0)), most=4).retrieve("q")) == [3, 4, 1, 2]
    assert passages(await Ensemble(((light, 2.0), (heavy, 1.0)), most=4).retrieve("q")) == [1, 2, 3, 4]


async def test_what_both_find_wins_unless_the_weights_say_otherwise() -> None:
    one, other = Library(source(1), source(2)), Library(source(3), source(2))
    assert passages(await Ensemble(((one, 1.0), (other, 1.0))).retrieve("q")) == [2, 1, 3]
    assert passages(await Ensemble(((one, 1.0), (other, 0.1))).retrieve("q")) == [2, 1, 3]
    [first, second, third] = await Ensemble(((one, 5.0), (other, 0.05))).retrieve("q")
    assert [first.passage, second.passage, third.passage] == [1, 2, 3]
    assert first.score == pytest.approx(5 / 61, abs=1e-6)
    assert second.score == pytest.approx(5 / 62 + 0.05 / 62, abs=1e-6)


async def test_the_score_is_the_weighted_sum_of_reciprocal_ranks() -> None:
    chance = random.Random(3)
    rankings = [[source(n) for n in chance.sample(range(1, 9), 5)] for _ in range(3)]
    weights = [0.5, 1.0, 3.0]
    members = tuple((Library(*ranking), weight) for ranking, weight in zip(rankings, weights, strict=True))
    found = await Ensemble(members, most=100).retrieve("q")
    expected = {
        number: sum(
            weight / (61 + passages(tuple(ranking)).index(number))
            for ranking, weight in zip(rankings, weights, strict=True)
            if number in passages(tuple(ranking))
        )
        for number in {each.passage for ranking in rankings for each in ranking}
    }
    assert {each.passage: each.score for each in found} == pytest.approx(expected, abs=1e-6)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)


async def test_no_more_than_wanted_is_found_and_each_only_once() -> None:
    repeating = Library(source(1), source(1), source(2), source(3), source(4))
    assert passages(await Ensemble(((repeating, 1.0),)).retrieve("q")) == [1, 2, 3]
    assert passages(await Ensemble(((repeating, 1.0),), most=1).retrieve("q")) == [1]


async def test_texts_outside_the_archive_are_told_apart_by_what_they_say() -> None:
    one, other = Library(text("A."), text("B.")), Library(text("B."), text("C."))
    found = await Ensemble(((one, 1.0), (other, 1.0))).retrieve("q")
    assert [each.text for each in found] == ["B.", "A.", "C."]


async def test_members_are_asked_at_the_same_time() -> None:
    slow = [Library(source(n), seconds=0.2) for n in range(1, 6)]
    began = asyncio.get_running_loop().time()
    await Ensemble(tuple((each, 1.0) for each in slow)).retrieve("q")
    assert asyncio.get_running_loop().time() - began < 0.5


async def test_a_member_that_fails_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    ensemble = Ensemble(((Shaky(TransientError("away")), 9.0), (Library(source(2)), 1.0)))
    assert passages(await ensemble.retrieve("q")) == [2]
    assert "away" in caplog.text
    missing = Ensemble(((Shaky(TransientError("away")), 9.0), (Library(), 1.0)))
    assert await missing.retrieve("q") == ()


async def test_when_all_members_fail_the_first_error_is_raised() -> None:
    with pytest.raises(FatalError, match="one"):
        await Ensemble(((Shaky(FatalError("one")), 1.0), (Shaky(TransientError("two")), 1.0))).retrieve("q")


async def test_when_all_members_miss_nothing_is_found() -> None:
    ensemble = Ensemble(((Library(), 1.0), (Library(text("No relevant context found.")), 2.0)))
    assert await ensemble.retrieve("q") == ()


async def test_a_member_of_no_weight_is_not_asked() -> None:
    ignored = Library(source(1))
    assert passages(await Ensemble(((ignored, 0.0), (Library(source(2)), 1.0))).retrieve("q")) == [2]
    assert ignored.asked == []


@pytest.mark.parametrize("weights", [(), (0.0, 0.0), (1.0, -0.5)])
def test_weights_that_cannot_weigh_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="0 or more, and one of them is more"):
        Ensemble(tuple((Library(), weight) for weight in weights))
