"""Growing and reviewing personas, as somebody at a browser does it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from datasets import pulse
from datasets.models import Project, User
from datasets.services.personas.adding import Draft, add_personas
from generation.models import PersonaGrowth
from tests.generation.growing import claimed, documents, landed, ordered

PageOf = Callable[[User], Page]


@pytest.fixture(autouse=True)
def a_worker_listens() -> None:
    pulse.beat(["press", "default"])


@pytest.fixture
def growth(project: Project, owner: User) -> PersonaGrowth:
    """Of two documents, one of which has been read."""
    growth = ordered(project, documents(project, "Rain gauge", "Mast"), owner, concurrency=1)
    make_one(growth)
    return growth


def make_one(growth: PersonaGrowth) -> None:
    (branch,) = claimed(growth)
    assert landed(growth, branch)


def test_the_estimate_follows_the_form_and_the_chosen_documents_are_grown_from(
    project: Project, teammate: User, page_of: PageOf
) -> None:
    documents(project, "Rain gauge", "Mast", "Battery")
    page = page_of(teammate)
    page.goto(f"/p/{project.slug}/personas/grow/")
    summary = page.locator("#summary")
    expect(summary).to_contain_text(re.compile(r"Model calls\s*3\b"))
    page.select_option("#id_depth", "1")
    expect(summary).to_contain_text(re.compile(r"Model calls\s*18\b"))
    page.fill("#id_titles", "a")
    page.get_by_text("Only some documents").click()
    expect(page.get_by_label("Rain gauge")).to_be_visible()
    page.fill("#id_titles", "batt")
    expect(page.locator("#documents").get_by_text("Mast")).to_have_count(0)
    expect(summary).to_contain_text(re.compile(r"Model calls\s*6\b"))
    page.get_by_role("button", name="Grow").click()
    expect(page).to_have_url(re.compile(r"/personas/growths/\d+/$"))
    growth = PersonaGrowth.objects.get()
    assert (growth.documents, growth.depth) == (1, 1)


def test_the_page_of_a_growth_follows_it_to_its_end(
    project: Project, teammate: User, growth: PersonaGrowth, page_of: PageOf
) -> None:
    page = page_of(teammate)
    page.goto(f"/p/{project.slug}/personas/growths/{growth.pk}/")
    expect(page.locator("#growth")).to_contain_text("Rain gauge 0")
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    make_one(growth)
    expect(page.locator("#growth")).to_contain_text("Mast 4")
    expect(page.locator("#growth-head")).to_contain_text("Done")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_personas_are_reviewed_by_the_keyboard_alone(
    project: Project, teammate: User, growth: PersonaGrowth, page_of: PageOf
) -> None:
    page = page_of(teammate)
    page.goto(f"/p/{project.slug}/personas/review/")
    heading = page.locator("#persona-review article h2")
    expect(heading).to_have_text("Rain gauge 0")
    page.keyboard.press("a")
    expect(heading).to_have_text("Rain gauge 1")
    page.keyboard.press("x")
    expect(heading).to_have_text("Rain gauge 2")
    page.keyboard.press("u")
    expect(heading).to_have_text("Rain gauge 1")
    page.keyboard.press("e")
    page.fill("#id_description", "Somebody else altogether.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#persona-review article")).to_contain_text("Somebody else altogether.")
    page.keyboard.press("j")
    expect(heading).to_have_text("Rain gauge 2")
    page.keyboard.press("Shift+A")
    expect(page).to_have_url(re.compile(r"/personas/$"))
    assert project.personas.usable().count() == 5
    assert project.personas.get(name="Rain gauge 1").current.description == "Somebody else altogether."


def test_the_person_who_is_looked_at_is_in_sight_among_many(
    project: Project, teammate: User, growth: PersonaGrowth, page_of: PageOf
) -> None:
    first = project.personas.order_by("pk").first()
    add_personas(
        project=project,
        drafts=[Draft(f"P{n:02}", "x", document=first.document_id, depth=1, proposed=True) for n in range(60)],
        author=None,
    )
    page = page_of(teammate)
    page.goto(f"/p/{project.slug}/personas/review/?persona={project.personas.get(name='P50').pk}")
    expect(page.locator(".tree [aria-current]")).to_be_in_viewport()
    for name in ("P51", "P52", "P53"):
        page.keyboard.press("j")
        expect(page.locator("#persona-review article h2")).to_have_text(name)
    expect(page.locator(".tree [aria-current]")).to_be_in_viewport()
    expect(page.get_by_role("heading", name="P53")).to_be_in_viewport()


def test_what_is_cut_off_of_a_pasted_text_is_said(
    project: Project, teammate: User, page_of: Callable[[User], Page]
) -> None:
    page = page_of(teammate)
    page.goto(f"/p/{project.slug}/personas/new/")
    name = page.locator("#id_name")
    expect(name).to_be_focused()
    paste = """(field, text) => {
        const clipboardData = new DataTransfer();
        clipboardData.setData("text", text);
        field.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
    }"""
    name.evaluate(paste, "short")
    expect(page.locator(".toast")).to_have_count(0)
    name.evaluate(paste, "x" * 130)
    expect(page.locator(".toast")).to_contain_text("the last 30 of what you pasted are cut off")
