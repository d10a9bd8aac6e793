"""Conversations that a person has improved: what is proposed, at what cost, and what becomes of a proposal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from datasets.filters import ConversationFilter
from datasets.models import Conversation, Corpus, Project, User
from datasets.services.curating import reviews
from datasets.services.curating.conversations import add_version
from datasets.services.curating.reviews import HeadChanged
from datasets.services.errors import Refused
from generation.models import Call, Endpoint, ImprovementItem, Price
from generation.services.improving import claims, improvements, proposals
from generation.services.improving.desk import IMPROVEMENTS
from generation.services.improving.improvements import Selection
from generation.services.servers.endpoints import save_endpoint
from tests.datasets.ingesting import add, read
from tests.factories import make_batch, make_conversation, make_corpus, make_dialog, make_source, make_trace
from tests.fixtures_model_server import RunningModelServer
from tests.generation.improving import item_of, judged, ordered, worked
from tests.generation.pulled import pulled
from tests.generation.runs import launched

pytestmark = pytest.mark.django_db(transaction=True)
FOUR = ("How do I reset it?", "Hold the button.", "And then?", "Wait a minute.")


@pytest.fixture
def server(project: Project, owner: User, model_server: RunningModelServer) -> Endpoint:
    fields = {"name": "Server", "preset": "custom", "base_url": model_server.base_url, "chat_model": "big"}
    return save_endpoint(project=project, user=owner, values=fields)


def said(conversation: Conversation) -> list[str]:
    return [message["content"] for message in Conversation.objects.get(pk=conversation.pk).head.messages]


def prompts_of(model_server: RunningModelServer) -> list[str]:
    """The system prompts of all chats that asked for no JSON, oldest first."""
    bodies = [request["body"] for request in model_server.requests()]
    return [body["messages"][0]["content"] for body in bodies if "response_format" not in body]


# -- what is proposed -------------------------------------------------------------------------------------------------


def test_a_proposal_is_a_judged_version_beside_the_one_that_counts(
    project: Project, server: Endpoint, model_server: RunningModelServer
) -> None:
    row = judged(project, *FOUR)
    head = row.head_id
    improvement = worked(ordered(project, row, endpoint=server, instruction="Name the fuse."))

    row.refresh_from_db()
    item = item_of(improvement)
    assert (improvement.state, improvement.made, improvement.failed) == ("done", 1, 0)
    assert (row.head_id, row.score, row.status) == (head, 0.4, "generated")
    assert (item.state, item.proposal.number, item.proposal.origin, item.proposal.parent_id) == (
        "proposed", 2, "improved", head,
    )  # fmt: skip
    assert (item.before, item.proposal.label) == (0.4, "Name the fuse.")
    assert item.after == item.proposal.judgements.get().overall is not None
    assert [message["role"] for message in item.proposal.messages] == ["user", "assistant"] * 2
    assert item.proposal.messages[0] == row.head.messages[0]
    assert item.proposal.messages[1] != row.head.messages[1]
    assert "Name the fuse." in prompts_of(model_server)[0]
    assert "forgets the fuse" not in prompts_of(model_server)[0]


def test_without_an_instruction_the_answers_are_told_what_the_judge_said_last(
    project: Project, server: Endpoint, model_server: RunningModelServer
) -> None:
    worked(ordered(project, judged(project), endpoint=server))
    (answer,) = prompts_of(model_server)
    assert "The second answer forgets the fuse." in answer
    assert "Hold the button for **ten** seconds." in answer


@pytest.mark.parametrize(
    ("wanted", "first_bad", "kept"),
    [
        ({}, 3, 3),
        ({}, None, 1),
        ({"start": "beginning"}, 3, 1),
        ({"start": "turn", "turn": 2}, None, 3),
        ({"start": "turn", "turn": 9}, None, 3),
    ],
)
def test_what_stands_before_the_place_to_mend_is_kept(
    project: Project, server: Endpoint, wanted: dict[str, Any], first_bad: int | None, kept: int
) -> None:
    row = judged(project, *FOUR, first_bad=first_bad)
    proposal = item_of(worked(ordered(project, row, endpoint=server, **wanted))).proposal
    assert proposal.messages[:kept] == row.head.messages[:kept]
    assert all(new != old for new, old in zip(proposal.messages[kept:], row.head.messages[kept:], strict=True))


def test_a_conversation_that_nobody_judged_is_judged_first_and_has_its_score_then(
    project: Project, server: Endpoint
) -> None:
    row = make_conversation(project, *FOUR)
    item = item_of(worked(ordered(project, row, endpoint=server)))
    row.refresh_from_db()
    assert item.before == row.score == row.head.judgements.get().overall is not None


def test_an_imported_conversation_keeps_its_prompt_and_is_answered_from_the_passages_of_its_trace(
    project: Project, server: Endpoint, model_server: RunningModelServer
) -> None:
    batch = make_batch(project, kind="import")
    dialog = make_dialog(system_prompt="You are Ada.", trace=make_trace(make_source()), extra={"id": "x-1"})
    row = make_conversation(project, batch=batch, dialog=dialog, origin="imported")
    proposal = item_of(worked(ordered(project, row, endpoint=server, instruction="Shorter."))).proposal
    (answer,) = prompts_of(model_server)
    assert answer.startswith("You are Ada.")
    assert "Hold the reset button for ten seconds." in answer
    assert (proposal.system_prompt, proposal.extra) == ("You are Ada.", {"id": "x-1"})
    assert [source.title for source in proposal.dialog.trace.steps[-2].sources] == ["Manual"]


def test_what_a_run_made_is_improved_by_its_own_models_and_with_its_own_retrieval(
    project: Project, server: Endpoint, model_server: RunningModelServer
) -> None:
    corpus = corpus_of(project)
    run = pulled(
        launched(project, endpoint=server, corpus=corpus.pk, conversations=2, max_turns=1, retrieval={"when": "answer"})
    )
    assert run.slots_done == 2
    model_server.reset()
    improvement = worked(ordered(project, instruction="Shorter."))
    assert (improvement.state, improvement.made) == ("done", 2)
    assert all("is serviced every" in prompt for prompt in prompts_of(model_server))
    assert set(Call.objects.filter(run=None).values_list("endpoint", flat=True)) == {server.pk}


def corpus_of(project: Project) -> Corpus:
    corpus = make_corpus(project)
    for number in range(3):
        read(add(corpus, f"pump-{number}.txt", f"Pump number {number} is serviced every {number + 2} weeks.\n\n" * 3))
    return corpus


def test_when_its_corpus_is_gone_a_conversation_is_improved_from_what_its_trace_remembers(
    project: Project, server: Endpoint, model_server: RunningModelServer
) -> None:
    corpus = corpus_of(project)
    run = launched(
        project, endpoint=server, corpus=corpus.pk, conversations=1, max_turns=1, retrieval={"when": "answer"}
    )
    pulled(run)
    corpus.delete()
    model_server.reset()
    assert worked(ordered(project, instruction="Shorter.")).made == 1
    assert "is serviced every" in prompts_of(model_server)[0]


def test_calls_are_in_the_ledger_and_counted_in_money(project: Project, server: Endpoint) -> None:
    Price.objects.create(endpoint=server, model="", prompt=2, completion=4)
    improvement = worked(ordered(project, judged(project, *FOUR), judged(project), endpoint=server))
    calls = Call.objects.filter(project=project)
    assert improvement.calls == calls.count() == 3 + 1 + 2
    assert improvement.prompt_tokens == sum(calls.values_list("prompt_tokens", flat=True)) > 0
    paid = sum(2 * call.prompt_tokens + 4 * call.completion_tokens for call in calls)
    assert improvement.cost == Decimal(paid) / 1_000_000
    assert sorted(calls.values_list("operation", flat=True)) == ["improve"] * 3 + ["judge"] * 2 + ["question"]
    assert set(calls.values_list("finish", flat=True)) == {"stop"}


# -- what is refused, and what goes wrong -------------------------------------------------------------------------------


def test_conversations_without_a_run_need_models(project: Project) -> None:
    make_conversation(project, batch=make_batch(project, kind="import", name="Old ones"))
    with pytest.raises(Refused, match="“Old ones”: choose who speaks as respondent"):
        ordered(project)


def test_an_endpoint_of_another_project_is_refused(project: Project, stranger: User) -> None:
    make_conversation(project)
    theirs = stranger.projects.get().endpoints.create(name="Theirs", preset="offline", chat_model="offline")
    with pytest.raises(Refused, match="not in this project"):
        ordered(project, endpoint=theirs)


def test_conversations_of_another_project_are_never_touched(project: Project, server: Endpoint, stranger: User) -> None:
    theirs = make_conversation(stranger.projects.get())
    with pytest.raises(Refused, match="No conversation is selected"):
        ordered(project, theirs, endpoint=server)


def test_a_conversation_with_nothing_to_mend_by_fails_by_itself(project: Project, server: Endpoint) -> None:
    judged_one, unjudged = judged(project), make_conversation(project)
    improvement = worked(ordered(project, judged_one, unjudged, endpoint=server, judge=False))
    assert (improvement.state, improvement.made, improvement.failed) == ("done", 1, 1)
    assert "Nobody has judged it" in item_of(improvement, unjudged).error


def test_many_with_nothing_to_mend_do_not_stop_the_others(project: Project, server: Endpoint) -> None:
    for _ in range(14):
        make_conversation(project)
    wanting = judged(project, batch=make_batch(project))
    improvement = worked(ordered(project, endpoint=server, judge=False, concurrency=1))
    assert (improvement.state, improvement.failed, improvement.made) == ("done", 14, 1)
    assert item_of(improvement, wanting).state == "proposed"


def test_a_refused_key_stops_it_with_a_reason_and_resuming_carries_it_on(
    project: Project, server: Endpoint, owner: User, model_server: RunningModelServer
) -> None:
    improvement = ordered(project, judged(project), judged(project), endpoint=server)
    model_server.fail("status", status=401)
    worked(improvement)
    assert (improvement.state, improvement.made) == ("failed", 0)
    assert improvement.reason
    model_server.reset()
    improvements.resume_improvement(improvement=improvement, user=owner)
    assert worked(improvement).made == 2


def test_failed_ones_are_tried_again_on_demand(
    project: Project, server: Endpoint, owner: User, model_server: RunningModelServer
) -> None:
    improvement = ordered(project, judged(project), endpoint=server)
    improvement.items.update(state="failed", error="No luck.", attempts=3)
    improvement.failed, improvement.state = 1, "done"
    improvement.save()
    assert improvements.retry_failed(improvement=improvement, user=owner) == 1
    assert (worked(improvement).made, improvement.failed) == (1, 0)


def test_what_is_cancelled_writes_nothing_more(project: Project, server: Endpoint, owner: User) -> None:
    improvement = ordered(project, judged(project), endpoint=server)
    (item,) = claims.claim_items(improvement_id=improvement.pk, limit=1)
    improvements.cancel_improvement(improvement=improvement, user=owner)
    IMPROVEMENTS.pull(improvement.pk)
    improvement.refresh_from_db()
    item.refresh_from_db()
    assert (improvement.state, item.state, improvement.made) == ("cancelled", "cancelled", 0)
    with pytest.raises(Refused):
        improvements.resume_improvement(improvement=improvement, user=owner)


def test_the_conversation_of_a_worker_that_died_is_given_to_another(project: Project, server: Endpoint) -> None:
    improvement = ordered(project, judged(project), endpoint=server)
    claims.claim_items(improvement_id=improvement.pk, limit=1)
    IMPROVEMENTS.pull(improvement.pk)
    assert ImprovementItem.objects.get().state == "running"
    ImprovementItem.objects.update(lease_until="2020-01-01T00:00Z")
    claims.reopen_lost_items()
    assert ImprovementItem.objects.get().state == "pending"
    assert worked(improvement).made == 1


def test_one_that_takes_three_workers_with_it_has_failed(project: Project, server: Endpoint) -> None:
    improvement = ordered(project, judged(project), endpoint=server)
    for _ in range(3):
        assert len(claims.claim_items(improvement_id=improvement.pk, limit=1)) == 1
        ImprovementItem.objects.update(lease_until="2020-01-01T00:00Z")
        claims.reopen_lost_items()
    improvement = worked(improvement)
    assert (improvement.state, improvement.failed) == ("done", 1)
    assert "died 3 times" in ImprovementItem.objects.get().error


# -- accepting and declining --------------------------------------------------------------------------------------------


@pytest.fixture
def item(project: Project, server: Endpoint) -> ImprovementItem:
    """A proposal for an approved conversation."""
    row = judged(project, *FOUR, status="approved")
    return item_of(worked(ordered(project, row, endpoint=server)))


def test_an_accepted_proposal_counts_and_waits_for_review(item: ImprovementItem, owner: User) -> None:
    proposals.accept_proposal(item=item, user=owner, head=item.base_id)
    row = Conversation.objects.get(pk=item.conversation_id)
    item.refresh_from_db()
    assert (row.head_id, row.score, row.status) == (item.proposal_id, item.after, "generated")
    assert (item.state, item.decided_by) == ("accepted", owner)
    proposals.accept_proposal(item=item, user=owner, head=item.base_id)


def test_a_declined_proposal_stays_a_version_and_changes_nothing(item: ImprovementItem, owner: User) -> None:
    proposals.decline_proposal(item=item, user=owner)
    row = Conversation.objects.get(pk=item.conversation_id)
    assert (row.head_id, row.status, row.versions.count()) == (item.base_id, "approved", 2)


def test_when_somebody_changed_the_conversation_since_accepting_asks_again(item: ImprovementItem, owner: User) -> None:
    edited = add_version(conversation=item.conversation, dialog=make_dialog("A", "B"), origin="edited", author=owner)
    with pytest.raises(HeadChanged, match="Somebody changed this conversation since"):
        proposals.accept_proposal(item=item, user=owner, head=item.base_id)
    assert Conversation.objects.get(pk=item.conversation_id).head_id == edited.pk
    proposals.accept_proposal(item=item, user=owner, head=edited.pk)
    assert Conversation.objects.get(pk=item.conversation_id).head_id == item.proposal_id


def test_an_acceptance_is_taken_back_with_its_status_and_score(item: ImprovementItem, owner: User) -> None:
    proposals.accept_proposal(item=item, user=owner, head=item.base_id)
    proposals.reopen_proposal(item=item, user=owner)
    row = Conversation.objects.get(pk=item.conversation_id)
    assert (row.head_id, row.status, row.score) == (item.base_id, "approved", 0.4)
    assert ImprovementItem.objects.get().state == "proposed"


def test_it_is_not_taken_back_over_a_later_decision(item: ImprovementItem, owner: User) -> None:
    proposals.accept_proposal(item=item, user=owner, head=item.base_id)
    reviews.record_review(conversation=item.conversation, reviewer=owner, decision="approved", version=item.proposal_id)
    with pytest.raises(HeadChanged):
        proposals.reopen_proposal(item=item, user=owner)


def test_all_that_score_better_are_accepted_and_no_others(project: Project, server: Endpoint, owner: User) -> None:
    rows = [judged(project, f"Question {n}?", "An answer.") for n in range(4)]
    improvement = worked(ordered(project, *rows, endpoint=server))
    scores = {rows[0]: 0.9, rows[1]: 0.4, rows[2]: None, rows[3]: 0.8}
    for row, score in scores.items():
        improvement.items.filter(conversation=row).update(after=score)
    add_version(conversation=rows[3], dialog=make_dialog("A", "B"), origin="edited")
    assert not proposals.accept_better(improvement=improvement, user=owner, seconds=5)
    states = dict(improvement.items.values_list("conversation", "state"))
    assert [states[row.pk] for row in rows] == ["accepted", "proposed", "proposed", "proposed"]


def test_a_filter_selects_and_what_came_after_it_was_shown_is_left_out(project: Project, server: Endpoint) -> None:
    first = judged(project, status="flagged")
    judged(project)
    shown = judged(project, status="flagged").pk
    judged(project, status="flagged")
    selection = Selection(filter=ConversationFilter(status="flagged"), up_to=shown)
    assert {pk for pk, *_ in improvements.selected(project, selection)} == {first.pk, shown}
