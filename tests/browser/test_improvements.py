"""Improving conversations with the keyboard, as somebody at a browser does it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from datasets import pulse
from datasets.models import Conversation, Project, User
from generation.models import Improvement, ImprovementItem
from tests.generation.improving import judged, proposed

PageOf = Callable[[User], Page]


@pytest.fixture(autouse=True)
def a_worker_listens() -> None:
    pulse.beat(["press", "default"])


def test_i_opens_the_form_and_the_cost_follows_what_is_chosen(
    project: Project, teammate: User, page_of: PageOf
) -> None:
    row = judged(project, "One?", "An answer.", "Two?", "Another.")
    page = page_of(teammate)
    page.goto(f"/p/{project.slug}/conversations/{row.pk}/")
    page.keyboard.press("i")
    expect(page).to_have_url(re.compile(rf"/improvements/new/\?pick={row.pk}$"))
    summary = page.locator("#summary")
    expect(summary).to_contain_text("≈ 4")
    page.select_option("#id_start", "turn")
    page.fill("#id_turn", "2")
    page.uncheck("#id_judge")
    expect(summary).to_contain_text("≈ 1")
    page.fill("#id_instruction", "Name the fuse.")
    page.keyboard.press("Control+Enter")
    expect(page).to_have_url(re.compile(r"/improvements/\d+/$"))
    spec = Improvement.objects.get().spec
    assert (spec["instruction"], spec["start"], spec["turn"], spec["judge"]) == ("Name the fuse.", "turn", 2, False)


def test_proposals_are_decided_on_with_single_keys(project: Project, teammate: User, page_of: PageOf) -> None:
    first = proposed(project, judged(project, "How?", "Hold the button."), "Hold the knob.")
    others = [proposed(project, judged(project, f"Why {n}?", "So."), "Because.") for n in range(2)]
    ImprovementItem.objects.filter(pk__in=[item.pk for item in others]).update(improvement=first.improvement)
    page = page_of(teammate)
    page.goto(f"/p/{project.slug}/improvements/{first.improvement_id}/")
    page.keyboard.press("v")
    expect(page.locator("ins")).to_have_text("knob")
    page.keyboard.press("j")
    expect(page.locator("h1")).to_contain_text(f"Conversation {others[0].conversation_id}")
    page.keyboard.press("k")
    expect(page.locator("h1")).to_contain_text(f"Conversation {first.conversation_id}")
    page.keyboard.press("a")
    expect(page.locator("h1")).to_contain_text(f"Conversation {others[0].conversation_id}")
    page.keyboard.press("x")
    expect(page.locator("h1")).to_contain_text(f"Conversation {others[1].conversation_id}")
    page.keyboard.press("a")
    expect(page).to_have_url(re.compile(rf"/improvements/{first.improvement_id}/$"))
    expect(page.locator(".toasts")).to_contain_text("Every proposal is decided on.")
    heads = {item.pk: Conversation.objects.get(pk=item.conversation_id).head_id for item in (first, *others)}
    assert heads == {
        first.pk: first.proposal_id, others[0].pk: others[0].base_id, others[1].pk: others[1].proposal_id,
    }  # fmt: skip


def test_a_mistake_is_taken_back(project: Project, teammate: User, page_of: PageOf) -> None:
    item = proposed(project, judged(project))
    page = page_of(teammate)
    page.goto(f"/p/{project.slug}/improvements/{item.improvement_id}/proposals/{item.pk}/")
    page.keyboard.press("x")
    expect(page.locator(".toasts")).to_contain_text("Every proposal is decided on.")
    page.go_back()
    page.reload()
    page.keyboard.press("u")
    expect(page.locator("h1")).to_contain_text("Proposed")
    assert ImprovementItem.objects.get(pk=item.pk).state == "proposed"
