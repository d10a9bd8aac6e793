"""The pages of improvements: what it will cost, how it goes on, and proposals one by one."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoCaptureOnCommitCallbacks

from datasets.models import Conversation, Project, User
from datasets.services.curating.conversations import add_version
from generation.engine.mending import Mending
from generation.models import Improvement, ImprovementItem
from generation.services.improving.estimating import estimate_improvement
from generation.services.improving.improvements import Selection
from generation.services.servers.endpoints import save_prices
from tests.factories import make_batch, make_conversation, make_dialog, make_trace
from tests.generation.improving import item_of, judged, ordered, proposed, spoken_by
from tests.generation.runs import landed, launched, made

ClientOf = Callable[[User], Client]
pytestmark = pytest.mark.django_db


def address(project: Project, name: str, *args: Any) -> str:
    return reverse(f"generation:{name}", args=[project.slug, *args])


def offline(project: Project) -> int:
    return project.endpoints.get(preset="offline").pk


def posted(project: Project, **changes: Any) -> dict[str, Any]:
    """The form as it is sent, spoken by the offline model."""
    return {"start": "first_bad", "endpoint": offline(project), "judge": "on", "concurrency": 4} | changes


# -- before it starts -----------------------------------------------------------------------------------------------


def test_the_cost_is_shown_before_it_starts_and_follows_the_form(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    for _ in range(3):
        judged(project, "One?", "An answer.", "Two?", "Another.")
    save_prices(endpoint=project.endpoints.get(), prices={"": (1000, 1000)})
    client = client_of(teammate)
    first = client.get(address(project, "improvement-new")).context["estimate"]
    assert (first.conversations, first.calls) == (3, 3 * 4)
    assert first.cost > 0
    later = client.post(address(project, "improvement-estimate"), posted(project, start="turn", turn=2, judge=""))
    assert "<dt>Model calls</dt><dd>≈ 3</dd>" in later.content.decode()


def test_what_no_one_has_judged_is_reckoned_with_one_call_more(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    make_conversation(project)
    assert client_of(teammate).get(address(project, "improvement-new")).context["estimate"].calls == 3


def test_an_answer_is_reckoned_at_what_its_trace_says_that_it_cost(
    project: Project,
) -> None:
    make_conversation(project, dialog=make_dialog(trace=make_trace()))
    wanted = Mending(models=spoken_by(project.endpoints.get()), judge=False, instruction="Shorter.")
    estimate = estimate_improvement(project=project, selection=Selection(), wanted=wanted)
    assert estimate.completion_tokens == 212
    assert 1204 < estimate.prompt_tokens < 1204 + 200


def test_the_filter_of_the_list_is_what_is_improved(
    project: Project, teammate: User, client_of: ClientOf,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:  # fmt: skip
    low, _high = judged(project, score=0.3), judged(project, score=0.9)
    client = client_of(teammate)
    page = client.get(reverse("datasets:conversation-list", args=[project.slug]) + "?score_max=0.5")
    link = address(project, "improvement-new") + "?score_max=0.5"
    assert link in page.content.decode()
    with django_capture_on_commit_callbacks() as hints:
        answer = client.post(link, posted(project, instruction="Name the fuse."))
    row = Improvement.objects.get()
    assert answer["Location"] == address(project, "improvement-detail", row.pk)
    assert list(row.items.values_list("conversation", "base", "state")) == [(low.pk, low.head_id, "pending")]
    assert (row.spec["instruction"], row.filter, row.offline, row.created_by) == (
        "Name the fuse.", {"score_max": 0.5}, True, teammate,
    )  # fmt: skip
    assert len(hints) == 1


def test_one_conversation_is_improved_from_its_page(project: Project, teammate: User, client_of: ClientOf) -> None:
    one, _other = judged(project), judged(project)
    client = client_of(teammate)
    page = client.get(reverse("datasets:conversation-detail", args=[project.slug, one.pk])).content.decode()
    link = address(project, "improvement-new") + f"?pick={one.pk}"
    assert f'{link}" data-key="i"' in page
    client.post(link, posted(project))
    assert item_of(Improvement.objects.get()).conversation == one


def test_runs_keep_their_models_and_imports_are_offered_one(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    client = client_of(teammate)
    imported = make_conversation(project, batch=make_batch(project, kind="import", name="Old ones"))
    page = client.get(address(project, "improvement-new") + f"?pick={imported.pk}")
    assert page.context["form"]["endpoint"].initial.pk == offline(project)
    assert page.context["estimate"].conversations == 1
    run = landed(launched(project), made())
    from_run = client.get(address(project, "improvement-new") + f"?batch={run.batch_id}")
    assert from_run.context["form"]["endpoint"].initial is None
    assert from_run.context["estimate"].conversations == 1


def test_a_choice_that_cannot_be_spoken_is_refused_beside_the_field(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    make_conversation(project, batch=make_batch(project, kind="import", name="Old ones"))
    answer = client_of(teammate).post(address(project, "improvement-new"), posted(project, endpoint=""))
    assert answer.status_code == 422
    assert "Old ones" in answer.context["form"].errors["endpoint"][0]
    assert not Improvement.objects.exists()


def test_a_model_needs_an_endpoint(project: Project, teammate: User, client_of: ClientOf) -> None:
    judged(project)
    answer = client_of(teammate).post(address(project, "improvement-new"), posted(project, endpoint="", model="big"))
    assert "endpoint" in answer.context["form"].errors


# -- while it lives -----------------------------------------------------------------------------------------------------


def test_the_page_polls_while_it_lives_and_says_what_failed(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    improvement = ordered(project, judged(project), judged(project), endpoint=project.endpoints.get())
    client, page = client_of(teammate), address(project, "improvement-detail", improvement.pk)
    assert 'hx-trigger="every 2s"' in client.get(page).content.decode()
    improvement.items.filter(pk=improvement.items.first().pk).update(
        state="failed", error="The reply was <b>empty</b>."
    )
    Improvement.objects.update(state="done", failed=1)
    answer = client.get(page).content.decode()
    assert 'hx-trigger="every 2s"' not in answer
    assert "The reply was &lt;b&gt;empty&lt;/b&gt;." in answer
    assert "Retry 1 failed" in answer


def test_it_is_cancelled_from_its_page(project: Project, teammate: User, client_of: ClientOf) -> None:
    improvement = ordered(project, judged(project), endpoint=project.endpoints.get())
    client_of(teammate).post(address(project, "improvement-action", improvement.pk, "cancel"))
    improvement.refresh_from_db()
    assert (improvement.state, item_of(improvement).state) == ("cancelled", "cancelled")


def test_the_list_shows_how_far_each_has_come(project: Project, teammate: User, client_of: ClientOf) -> None:
    item = proposed(project, judged(project))
    ImprovementItem.objects.update(state="accepted")
    answer = client_of(teammate).get(address(project, "improvement-list"))
    assert answer.context["rows"] == [(item.improvement, 1)]


# -- proposals ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def item(project: Project) -> ImprovementItem:
    return proposed(project, judged(project, "How?", "Hold the button."), "Hold the knob.")


def test_a_proposal_is_shown_word_by_word_with_its_scores(
    project: Project, item: ImprovementItem, annotator: User, client_of: ClientOf
) -> None:
    answer = client_of(annotator).get(address(project, "proposal-detail", item.improvement_id, item.pk))
    page = answer.content.decode()
    assert "<del>button</del><ins>knob</ins>" in page
    assert "0.40" in page
    assert "0.80" in page
    assert "Fine now." in page


def test_a_proposal_of_other_words_is_told_as_a_whole_and_not_word_by_word(
    project: Project, teammate: User, client_of: ClientOf
) -> None:
    item = proposed(project, judged(project, "How?", "Press the red button once."), "Turn the big knob twice.")
    page = client_of(teammate).get(address(project, "proposal-detail", item.improvement_id, item.pk)).content.decode()
    assert "<del>Press the red button once</del><ins>Turn the big knob twice</ins>." in page


def test_a_and_x_and_u_decide_and_go_on_to_the_next(project: Project, teammate: User, client_of: ClientOf) -> None:
    first = proposed(project, judged(project))
    other = judged(project)
    later = ImprovementItem.objects.create(
        improvement=first.improvement, conversation=other, base=other.head, state="proposed",
        proposal=add_version(conversation=other, dialog=make_dialog("A?", "C."), origin="improved"),
    )  # fmt: skip
    Conversation.objects.filter(pk=other.pk).update(head=later.base)
    client = client_of(teammate)
    act = lambda row, action: client.post(  # noqa: E731
        address(project, "proposal-action", row.improvement_id, row.pk, action), {"head": row.base_id}
    )
    following = act(first, "accept")["Location"]
    assert following == address(project, "proposal-detail", later.improvement_id, later.pk) + f"?decided={first.pk}"
    page = client.get(following).content.decode()
    assert f"Conversation {first.conversation_id}: accepted" in page
    assert address(project, "proposal-action", first.improvement_id, first.pk, "reopen") in page
    assert act(later, "decline")["Location"] == address(project, "improvement-detail", later.improvement_id)
    assert dict(first.improvement.items.values_list("pk", "state")) == {first.pk: "accepted", later.pk: "declined"}
    assert act(first, "reopen")["Location"] == address(project, "proposal-detail", first.improvement_id, first.pk)
    assert Conversation.objects.get(pk=first.conversation_id).head_id == first.base_id


def test_a_conversation_that_moved_on_is_compared_anew_before_it_is_accepted(
    project: Project, item: ImprovementItem, teammate: User, client_of: ClientOf
) -> None:
    edited = add_version(conversation=item.conversation, dialog=make_dialog("How?", "Press it."), origin="edited")
    client, action = client_of(teammate), address(project, "proposal-action", item.improvement_id, item.pk, "accept")
    asked_again = client.post(action, {"head": item.base_id})
    assert asked_again.status_code == 409
    assert "Somebody changed this conversation since" in asked_again.content.decode()
    assert f'name="head" value="{edited.pk}"' in asked_again.content.decode()
    client.post(action, {"head": edited.pk})
    assert Conversation.objects.get(pk=item.conversation_id).head_id == item.proposal_id


def test_all_that_score_better_are_accepted_by_one_button(
    project: Project, item: ImprovementItem, teammate: User, client_of: ClientOf
) -> None:
    client = client_of(teammate)
    page = address(project, "improvement-detail", item.improvement_id)
    assert "Accept 1 that score better" in client.get(page).content.decode()
    client.post(address(project, "proposals-better", item.improvement_id))
    item.refresh_from_db()
    assert item.state == "accepted"
    assert "score better" not in client.get(page).content.decode()


def test_who_may_do_what(
    project: Project, item: ImprovementItem, annotator: User, stranger: User, client_of: ClientOf
) -> None:
    one = (item.improvement_id, item.pk)
    reading = [
        address(project, "improvement-list"),
        address(project, "improvement-detail", one[0]),
        address(project, "proposal-detail", *one),
        reverse("datasets:conversation-versions", args=[project.slug, item.conversation_id]),
    ]
    writing = [
        address(project, "improvement-new"),
        address(project, "improvement-estimate"),
        address(project, "improvement-action", one[0], "cancel"),
        address(project, "proposals-better", one[0]),
        *(address(project, "proposal-action", *one, action) for action in ("accept", "decline", "reopen")),
    ]
    for page in reading:
        assert client_of(annotator).get(page).status_code == 200
        assert client_of(stranger).get(page).status_code == 404
    for page in writing:
        assert client_of(annotator).post(page, posted(project)).status_code == 403
        assert client_of(stranger).post(page, posted(project)).status_code == 404
    mine = stranger.projects.get()
    for name, args in (("improvement-detail", one[:1]), ("proposal-detail", one)):
        assert client_of(stranger).get(address(mine, name, *args)).status_code == 404
    item.refresh_from_db()
    assert item.state == "proposed"


# -- versions -----------------------------------------------------------------------------------------------------------


def test_two_versions_are_compared(
    project: Project, item: ImprovementItem, annotator: User, client_of: ClientOf
) -> None:
    client = client_of(annotator)
    versions = reverse("datasets:conversation-versions", args=[project.slug, item.conversation_id])
    answer = client.get(versions + "?a=1&b=2")
    assert answer.context["scores"] == (0.4, 0.8)
    assert "<del>button</del><ins>knob</ins>" in answer.content.decode()
    backwards = client.get(versions + "?a=2&b=1").content.decode()
    assert "<del>knob</del><ins>button</ins>" in backwards
    assert client.get(versions + "?a=9").status_code == 404
    assert client.get(versions + "?a=x").context["new"] == item.base


def test_the_page_of_a_conversation_lists_its_versions_with_their_scores(
    project: Project, item: ImprovementItem, annotator: User, client_of: ClientOf
) -> None:
    page = client_of(annotator).get(reverse("datasets:conversation-detail", args=[project.slug, item.conversation_id]))
    assert [(one.number, one.origin, one.score) for one in page.context["versions"]] == [
        (1, "generated", 0.4),
        (2, "improved", 0.8),
    ]
    assert "What changed" in page.content.decode()
    assert "Improve</a>" not in page.content.decode()


def test_money_is_reckoned_by_the_prices_of_each_role(project: Project, teammate: User, client_of: ClientOf) -> None:
    judged(project)
    save_prices(endpoint=project.endpoints.get(), prices={"": (0, 100_000)})
    estimate = client_of(teammate).get(address(project, "improvement-new")).context["estimate"]
    assert abs(estimate.cost - Decimal(estimate.completion_tokens) / 10) < 1
