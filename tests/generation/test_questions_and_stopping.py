"""What a run asks, how often it asks about what, and when it has enough."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from datasets.models import Conversation, Corpus, Project, User
from datasets.services.personas.saving import save_persona
from generation.engine.protocols import Failed
from generation.engine.recipe import Recipe
from generation.models import Endpoint, Run, Slot
from generation.services.running import claims
from generation.services.running.stopping import StoppingFacts
from generation.services.servers.endpoints import save_endpoint
from tests.datasets.ingesting import add, read
from tests.factories import make_corpus
from tests.fixtures_model_server import RunningModelServer
from tests.generation.pulled import pulled
from tests.generation.runs import land_on, launched, made

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(project: Project, owner: User, model_server: RunningModelServer) -> Endpoint:
    fields = {"name": "Server", "preset": "custom", "base_url": model_server.base_url, "chat_model": "big"}
    return save_endpoint(project=project, user=owner, values=fields)


@pytest.fixture
def corpus(project: Project) -> Corpus:
    """Four passages."""
    corpus = make_corpus(project)
    for number in range(4):
        read(add(corpus, f"pump-{number}.txt", f"Pump number {number} is serviced every {number + 2} weeks.\n\n" * 3))
    assert corpus.passages.count() == 4
    return corpus


def openings(run: Run) -> list[str]:
    return list(run.slots.order_by("index").values_list("opening", flat=True))


def instructions_in(model_server: RunningModelServer) -> int:
    return sum("response_format" in request["body"] for request in model_server.requests())


# -- batches ------------------------------------------------------------------------------------------------------------


def test_the_questions_of_a_batch_are_written_by_one_call_and_made_into_dialogs_of_their_own(
    project: Project, server: Endpoint, model_server: RunningModelServer
) -> None:
    run = pulled(launched(project, endpoint=server, conversations=12, questions={"batch": 4}, max_turns=1))

    assert (run.state, run.slots_done) == (Run.State.DONE, 12)
    assert instructions_in(model_server) == 3
    assert len(set(openings(run))) == 12
    told = Conversation.objects.filter(batch=run.batch_id).values_list("opening", flat=True)
    assert sorted(told) == sorted(openings(run))


def test_followers_wait_for_their_question_and_are_free_once_it_is_there(project: Project) -> None:
    run = launched(project, conversations=6, questions={"batch": 3})
    assert [slot.index for slot in claims.claim_slots(run_id=run.pk, limit=6)] == [0, 3]
    run.slots.filter(index=1).update(opening="What is it?")
    assert [slot.index for slot in claims.claim_slots(run_id=run.pk, limit=6)] == [1]


def test_when_the_leader_of_a_batch_fails_the_others_have_their_questions_written_by_themselves(
    project: Project,
) -> None:
    run = launched(project, conversations=3, questions={"batch": 3})
    land_on(run, claims.claim_slots(run_id=run.pk, limit=3), [Failed("dialog", "No luck.")])
    assert [slot.index for slot in claims.claim_slots(run_id=run.pk, limit=3)] == [1, 2]


def test_a_conversation_that_is_made_again_keeps_the_question_that_was_paid_for(
    project: Project, server: Endpoint, model_server: RunningModelServer
) -> None:
    run = launched(project, endpoint=server, conversations=2, max_turns=1)
    run.slots.update(opening="")
    run.slots.filter(index=0).update(opening="Is it blue?")
    pulled(run)
    assert openings(run)[0] == "Is it blue?"
    assert instructions_in(model_server) == 1


# -- near-duplicates ----------------------------------------------------------------------------------------------------


def test_no_two_conversations_of_a_run_begin_with_nearly_the_same_question(project: Project) -> None:
    """The offline model has little to say, so that it repeats itself."""
    corpus = make_corpus(project)
    read(add(corpus, "pump.txt", "The pump is serviced every seven weeks."))
    questions = {"distinct": True}
    run = pulled(
        launched(project, corpus=corpus.pk, conversations=20, max_turns=1, concurrency=10, questions=questions)
    )
    made = [opening for opening in openings(run) if opening]
    assert len(set(made)) == len(made) == run.slots_done < 20
    errors = set(run.slots.filter(state=Slot.State.FAILED).values_list("error", flat=True))
    assert len(errors) == 1
    assert "near-duplicates" in errors.pop()


def test_a_recipe_may_ask_the_same_twice(project: Project) -> None:
    corpus = make_corpus(project)
    read(add(corpus, "pump.txt", "The pump is serviced every seven weeks."))
    run = pulled(launched(project, corpus=corpus.pk, conversations=20, max_turns=1, questions={"distinct": False}))
    assert run.slots_done == 20


# -- coverage -----------------------------------------------------------------------------------------------------------


def visits(run: Run) -> Counter[int]:
    return Counter(pk for context in run.slots.values_list("context", flat=True) for pk in context)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_four_passages_twice_each_are_exactly_eight_conversations_whatever_the_concurrency(
    project: Project, server: Endpoint, corpus: Corpus, concurrency: int
) -> None:
    run = launched(
        project,
        endpoint=server,
        corpus=corpus.pk,
        conversations=500,
        max_turns=1,
        concurrency=concurrency,
        stopping=[{"kind": "coverage", "visits": 2}],
    )
    assert run.slots_total == 8
    pulled(run)
    assert (run.slots_done, run.slots_failed) == (8, 0)
    assert set(visits(run).values()) == {2}
    assert run.reason in ("", "100% of the passages were asked about 2 times.")


def test_no_conversation_is_ungrounded_when_all_targets_are_met(project: Project, corpus: Corpus) -> None:
    run = launched(project, corpus=corpus.pk, conversations=50, questions={"visits": 1})
    assert run.slots_total == 4
    assert all(run.slots.values_list("context", flat=True))


def test_the_questions_of_a_batch_share_passages_and_visits_count_each_conversation(
    project: Project, corpus: Corpus
) -> None:
    run = launched(project, corpus=corpus.pk, conversations=50, questions={"visits": 2, "batch": 2})
    assert run.slots_total == 8
    assert set(visits(run).values()) == {2}


def test_passages_that_earlier_runs_asked_about_come_last(project: Project, server: Endpoint, corpus: Corpus) -> None:
    first = pulled(launched(project, endpoint=server, corpus=corpus.pk, conversations=3, max_turns=1))
    assert first.slots_done == 3
    (rest,) = set(corpus.passages.values_list("pk", flat=True)) - set(visits(first))
    fresh = {"fresh": True}
    second = launched(project, endpoint=server, corpus=corpus.pk, conversations=1, max_turns=1, questions=fresh, seed=8)
    assert set(visits(second)) == {rest}
    third = launched(project, endpoint=server, corpus=corpus.pk, conversations=5, max_turns=1, questions=fresh, seed=9)
    assert visits(third) == Counter(dict.fromkeys(visits(first), 1) | {rest: 2})


def test_what_a_conversation_that_failed_was_to_ask_about_is_still_to_be_asked(
    project: Project, server: Endpoint, corpus: Corpus
) -> None:
    covered = {"kind": "coverage"}
    half = {"kind": "coverage", "share": 0.5}
    first = launched(project, endpoint=server, corpus=corpus.pk, conversations=4, max_turns=1, stopping=[covered])
    slots = claims.claim_slots(run_id=first.pk, limit=4)
    failed = {slot.context[0] for slot in slots[:2]}
    land_on(first, slots, [Failed("dialog", "No."), Failed("dialog", "No."), made("One?"), made("Two?")])
    assert len(failed) == 2
    assert StoppingFacts(first, Recipe.model_validate(first.spec)).reason(first) is None
    spec = Recipe.model_validate(first.spec | {"stopping": [half]})
    assert StoppingFacts(first, spec).reason(first) == "50% of the passages were asked about."
    second = launched(
        project, endpoint=server, corpus=corpus.pk, conversations=2, max_turns=1, questions={"fresh": True}
    )
    assert set(visits(second)) == failed


# -- stopping rules -------------------------------------------------------------------------------------------------------


def test_a_run_stops_when_its_rule_is_met_and_says_why(project: Project, server: Endpoint) -> None:
    rule = {"kind": "spending", "completion_tokens": 50}
    run = pulled(launched(project, endpoint=server, conversations=400, concurrency=2, stopping=[rule]))
    assert (run.state, run.reason) == (Run.State.STOPPED, "The limit of 50 reply tokens is reached.")
    assert 0 < run.slots_done < 400


def test_a_number_of_personas_is_counted_in_what_was_made(project: Project, server: Endpoint) -> None:
    people = [
        save_persona(project=project, name=name, description=f"{name} asks.", features={}, author=None).pk
        for name in ("Ada", "Ben", "Cleo")
    ]
    rule: dict[str, Any] = {"kind": "personas", "number": 2}
    run = pulled(launched(project, endpoint=server, conversations=400, concurrency=2, personas=people, stopping=[rule]))
    assert run.state == Run.State.STOPPED
    assert "different personas have spoken" in run.reason


def test_one_failure_among_many_successes_does_not_stop_a_run(
    project: Project, server: Endpoint, model_server: RunningModelServer
) -> None:
    model_server.control(faults=[{"kind": "bad_json", "count": 9}])
    rule = {"kind": "error_rate", "rate": 0.5, "least": 10}
    run = pulled(launched(project, endpoint=server, conversations=30, max_turns=1, stopping=[rule]))
    assert run.state == Run.State.DONE


# -- scenarios ------------------------------------------------------------------------------------------------------------


def test_scenarios_are_dealt_evenly_and_reach_the_question_writer(
    project: Project, server: Endpoint, model_server: RunningModelServer
) -> None:
    scenarios = ["The pump leaks at night.", "A guest lost the code.", "The battery is empty."]
    run = pulled(launched(project, endpoint=server, conversations=6, max_turns=1, questions={"scenarios": scenarios}))
    assert run.slots_done == 6
    asked = [str(request["body"]) for request in model_server.requests() if "instructions" in str(request["body"])]
    assert {scenario: sum(scenario in body for body in asked) for scenario in scenarios} == dict.fromkeys(scenarios, 2)
