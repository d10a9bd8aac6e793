"""Choosing who asks out of thousands, as somebody at a browser does it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from datasets import pulse
from datasets.models import Project, User
from datasets.services.personas.adding import Draft, add_personas
from generation.models import Run
from tests.generation.runs import expert

PageOf = Callable[[User], Page]


@pytest.fixture(autouse=True)
def a_worker_listens() -> None:
    pulse.beat(["press", "default"])


@pytest.fixture
def crowd(project: Project) -> None:
    expert(project)
    jobs = ("Nurse", "Doctor", "Porter")
    said = "Works nights, has no patience for jargon and wants an answer that can be acted on at once."
    drafts = [Draft(f"{job} {n:04}", f"A {job.lower()} of ward {n}. {said}") for job in jobs for n in range(1_000)]
    add_personas(project=project, drafts=drafts, author=None)


@pytest.mark.usefixtures("crowd")
def test_personas_are_found_taken_and_left_out_without_a_mouse(
    project: Project, teammate: User, page_of: PageOf
) -> None:
    page = page_of(teammate)
    page.goto(f"/p/{project.slug}/runs/new/")
    chosen, matching = page.locator("#persona-chosen"), page.locator("#persona-found")
    everybody = chosen.get_by_label("All usable personas")
    expect(everybody).to_be_checked()
    everybody.focus()
    page.keyboard.press("Space")
    page.get_by_label("Find personas").focus()
    page.keyboard.type("doctor 0007")
    one = matching.get_by_label("Doctor 0007 A doctor of ward 7")
    expect(one).to_be_visible()
    expect(matching.get_by_text("Nurse")).to_have_count(0)
    expect(page.get_by_label("Find personas")).to_be_focused()
    one.focus()
    page.keyboard.press("Space")
    page.get_by_label("Find personas").fill("porter 099")
    expect(matching.get_by_label("All that match “porter 099”")).to_be_visible()
    expect(chosen.get_by_label("Doctor 0007")).to_be_checked()
    expect(everybody).to_have_count(0)
    matching.get_by_label("All that match “porter 099”").focus()
    page.keyboard.press("Space")
    page.get_by_label("Find personas").press("Enter")
    expect(chosen.get_by_label("All that match “porter 099”")).to_be_checked()
    expect(page).to_have_url(re.compile(r"/runs/new/$"))
    page.get_by_role("button", name="Launch").click()
    expect(page).to_have_url(re.compile(r"/runs/\d+/$"))
    run = Run.objects.get()
    names = set(run.slots.values_list("persona__name", flat=True))
    assert names == {"Doctor 0007", "Porter 0099", *(f"Porter 099{n}" for n in range(10))}


@pytest.mark.usefixtures("crowd")
def test_the_choice_fits_a_phone(project: Project, teammate: User, page_of: PageOf) -> None:
    page = page_of(teammate)
    page.set_viewport_size({"width": 360, "height": 780})
    page.goto(f"/p/{project.slug}/runs/new/?persona_q=nurse")
    expect(page.locator("#persona-chosen").get_by_label("All that match “nurse”")).to_be_checked()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
