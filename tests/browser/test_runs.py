"""Launching and watching a run, as somebody at a browser does it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from datasets import pulse
from datasets.models import Project, User
from generation.engine.protocols import Failed
from generation.models import Run
from generation.services.running import runs
from tests.generation.runs import expert, landed, launched, made

PageOf = Callable[[User], Page]


@pytest.fixture(autouse=True)
def a_worker_listens() -> None:
    pulse.beat(["press", "default"])


@pytest.fixture
def run(project: Project, owner: User) -> Run:
    run = launched(project, user=owner, name="Watched", conversations=50)
    return landed(run, *[made(f"Question {n}?") for n in range(6)], Failed("dialog", "The reply was empty."))


def test_the_summary_follows_the_form_and_the_button_launches_what_was_typed(
    project: Project, teammate: User, page_of: PageOf
) -> None:
    expert(project)
    page = page_of(teammate)
    page.goto(f"/p/{project.slug}/runs/new/")
    summary = page.locator("#summary")
    expect(summary).to_contain_text("≈ 80")
    page.fill("#id_conversations", "10")
    expect(summary).to_contain_text("≈ 40")
    expect(page.locator("#id_conversations")).to_be_focused()
    page.fill("#id_save_as", "Ten of them")
    page.fill("#id_conversations", "11")
    page.get_by_role("button", name="Launch").click()
    expect(page).to_have_url(re.compile(r"/runs/\d+/$"))
    run = Run.objects.get()
    assert (run.slots_total, run.recipe.name) == (11, "Ten of them")


def test_a_refused_number_is_shown_beside_its_field(project: Project, teammate: User, page_of: PageOf) -> None:
    expert(project)
    page = page_of(teammate)
    page.goto(f"/p/{project.slug}/runs/new/")
    page.locator("#run-form").evaluate("form => form.noValidate = true")
    page.fill("#id_max_turns", "0")
    page.get_by_role("button", name="Preview one").click()
    expect(page.locator("#id_max_turns_error")).to_be_visible()
    page.fill("#id_max_turns", "1")
    page.get_by_role("button", name="Launch").click()
    expect(page).to_have_url(re.compile(r"/runs/\d+/$"))


def test_the_form_works_without_javascript(
    project: Project, teammate: User, browser: Browser, page_of: PageOf, live_server: object
) -> None:
    expert(project)
    cookies = page_of(teammate).context.cookies()
    context = browser.new_context(java_script_enabled=False, base_url=str(live_server))
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto(f"/p/{project.slug}/runs/new/")
    expect(page.locator("#summary")).to_contain_text("≈ 80")
    page.fill("#id_conversations", "7")
    page.get_by_role("button", name="Launch").click()
    expect(page.locator("h1")).to_contain_text("Running")
    assert Run.objects.get().slots_total == 7
    context.close()


def test_a_live_page_moves_on_and_leaves_alone_what_somebody_is_at(
    run: Run, project: Project, owner: User, page_of: PageOf
) -> None:
    page = page_of(owner)
    page.goto(f"/p/{project.slug}/runs/{run.pk}/")
    legend = page.locator("#run .legend")
    expect(legend).to_contain_text("6 done")
    watched = page.locator("#run-latest a.row-link").nth(2)
    watched.focus()
    watched_id = watched.get_attribute("id")
    page.locator("#run-errors .feed div").first.evaluate("line => getSelection().selectAllChildren(line)")
    page.locator("#run-head details.menu").evaluate("menu => menu.open = true")

    landed(run, made("A new question?"))
    expect(legend).to_contain_text("7 done")
    expect(page.locator("#run-latest tr.landing")).to_contain_text("A new question?")
    expect(page.locator(f"#{watched_id}")).to_be_focused()
    expect(page.locator("#run-head details.menu")).to_have_attribute("open", "")
    assert page.evaluate("getSelection().toString()").strip() == "The reply was empty."

    page.get_by_role("button", name="Change the budget").click()
    page.fill("#id_tokens", "500")
    landed(run, made())
    expect(legend).to_contain_text("8 done")
    expect(page.locator("#budget")).to_be_visible()
    assert page.input_value("#id_tokens") == "500"
    page.keyboard.press("Escape")

    runs.pause_run(run=run, user=owner)
    expect(page.locator("#run-head")).to_contain_text("Resume")
    expect(page.locator("#run[hx-get]")).to_have_count(0)


def test_a_run_is_cancelled_only_after_it_was_confirmed(
    run: Run, project: Project, owner: User, page_of: PageOf
) -> None:
    page = page_of(owner)
    page.goto(f"/p/{project.slug}/runs/{run.pk}/")
    page.locator("#run-head").get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Go back").click()
    page.keyboard.press("p")
    expect(page.locator("#run-head")).to_contain_text("Paused")
    page.locator("#run-head").get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.locator("#run-notes")).to_contain_text("6 of 50 conversations were made")
    run.refresh_from_db()
    assert run.state == Run.State.CANCELLED


def test_fields_of_several_retrievers_show_for_the_choice_that_needs_them(
    project: Project, teammate: User, page_of: PageOf
) -> None:
    expert(project)
    page = page_of(teammate)
    page.goto(f"/p/{project.slug}/runs/new/")
    page.get_by_text("Where passages come from").click()
    member, weight, enough, text = (
        page.locator(f"#id_{name}") for name in ("member_0", "member_weight_0", "chain_enough", "retriever_text")
    )
    for one in (member, weight, enough, text):
        expect(one).to_be_hidden()
    page.locator("#id_retriever").select_option("ensemble")
    expect(member).to_be_visible()
    expect(weight).to_be_visible()
    expect(enough).to_be_hidden()
    page.locator("#id_retriever").select_option("chain")
    expect(enough).to_be_visible()
    expect(weight).to_be_hidden()
    member.select_option("text")
    expect(text).to_be_visible()
    page.get_by_role("button", name="Launch").click()
    expect(page.get_by_text("Write the text, or retrieve from something else.")).to_be_visible()
    expect(text).to_be_focused()


def test_a_wrong_field_in_a_fold_is_opened_and_has_the_cursor(
    project: Project, teammate: User, page_of: PageOf
) -> None:
    expert(project)
    page = page_of(teammate)
    page.goto(f"/p/{project.slug}/runs/new/")
    page.locator("#run-form").evaluate("form => { form.noValidate = true }")
    page.get_by_text("Another model for a role").click()
    page.locator("#id_judge_temperature").fill("9")
    page.get_by_role("button", name="Launch").click()
    expect(page.locator("#id_judge_temperature")).to_be_focused()


def test_a_menu_opens_inside_the_page_of_a_phone(project: Project, teammate: User, page_of: PageOf) -> None:
    expert(project)
    page = page_of(teammate)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"/p/{project.slug}/runs/new/")
    page.locator("main details.menu > summary").click()
    box = page.locator("main .menu-items").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
