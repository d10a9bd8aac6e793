"""Reviewing by keyboard, filtering without reloading, and exporting, as somebody at a browser does it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from datasets import tasks
from datasets.models import Conversation, Export, Project, User
from tests.factories import make_conversation, make_dialog, make_source, make_trace

PageOf = Callable[[User], Page]


@pytest.fixture
def rows(project: Project) -> list[Conversation]:
    """Oldest first, while lists show the newest first."""
    return [make_conversation(project, f"Question number {n}?", f"Answer {n}.") for n in range(4)]


def status_of(row: Conversation) -> str:
    return Conversation.objects.values_list("status", flat=True).get(pk=row.pk)


def reading(page: Page, row: Conversation) -> None:
    expect(page.locator("h1")).to_contain_text(f"Conversation {row.pk}")


def open_first(page: Page, project: Project) -> None:
    page.goto(f"/p/{project.slug}/conversations/?status=generated")
    page.locator("tbody tr").first.click()


def test_a_reviewer_decides_one_after_the_other_by_keyboard(
    rows: list[Conversation], project: Project, annotator: User, page_of: PageOf
) -> None:
    page = page_of(annotator)
    open_first(page, project)
    reading(page, rows[3])
    page.evaluate("window.sameDocument = true")
    for row, key, following in ((rows[3], "a", rows[2]), (rows[2], "x", rows[1]), (rows[1], "f", rows[0])):
        reading(page, row)
        page.keyboard.press(key)
        reading(page, following)
        expect(page).to_have_url(re.compile(rf"/{following.pk}/\?status=generated$"))
        page.wait_for_timeout(300)
    assert [status_of(row) for row in rows] == ["generated", "flagged", "rejected", "approved"]
    assert page.evaluate("window.sameDocument")
    expect(page).to_have_title(f"Conversation {rows[0].pk} · {project.name} · AfterImage")

    page.keyboard.press("u")
    reading(page, rows[1])
    assert status_of(rows[1]) == "generated"
    page.keyboard.press("j")
    reading(page, rows[0])
    page.keyboard.press("k")
    reading(page, rows[1])
    page.go_back()
    reading(page, rows[0])


def test_the_same_key_again_takes_the_verdict_back(
    rows: list[Conversation], project: Project, annotator: User, page_of: PageOf
) -> None:
    page = page_of(annotator)
    page.goto(f"/p/{project.slug}/conversations/{rows[0].pk}/")
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Approved")).to_be_visible()
    expect(page.get_by_text("That was the last one of this list.")).to_be_visible()
    page.wait_for_timeout(300)
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    assert status_of(rows[0]) == "generated"


def test_a_label_and_a_note_are_written_without_the_mouse(
    rows: list[Conversation], project: Project, annotator: User, page_of: PageOf
) -> None:
    page = page_of(annotator)
    page.goto(f"/p/{project.slug}/conversations/{rows[1].pk}/")
    page.keyboard.press("l")
    page.keyboard.type("axe")  # a and x are letters here, not verdicts
    page.keyboard.press("Enter")
    expect(page.locator("#labels .chip")).to_have_text("axe")
    page.keyboard.press("n")
    page.keyboard.type("Ask\nfor a fax.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#notes li")).to_contain_text("for a fax.")
    assert status_of(rows[1]) == "generated"
    assert [label.name for label in rows[1].labels.all()] == ["axe"]
    page.keyboard.press("n")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    reading(page, rows[0])


def test_the_sources_follow_the_answer_and_the_calls_come_when_opened(
    project: Project, annotator: User, page_of: PageOf
) -> None:
    row = make_conversation(project, dialog=make_dialog(trace=make_trace(make_source(title="Fuse manual"))))
    page = page_of(annotator)
    page.goto(f"/p/{project.slug}/conversations/{row.pk}/")
    expect(page.locator("#sources-1")).to_contain_text("Fuse manual")
    expect(page.locator(".trace")).to_have_count(0)
    page.get_by_text("Every call").click()
    expect(page.locator(".trace")).to_have_count(2)
    page.locator(".trace").nth(1).locator("summary").click()
    expect(page.get_by_text("Answer from the passages.")).to_be_visible()


def test_the_list_is_filtered_in_place_and_back_works(
    rows: list[Conversation], project: Project, annotator: User, page_of: PageOf
) -> None:
    page = page_of(annotator)
    rows[0].status = "approved"
    rows[0].save()
    page.goto(f"/p/{project.slug}/conversations/")
    expect(page.locator("tbody tr")).to_have_count(4)
    page.evaluate("window.sameDocument = true")
    page.locator(".filters .chip", has_text="Approved").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    assert "status=approved" in page.url
    page.locator(".filters .chip", has_text="Any").click()
    expect(page.locator("tbody tr")).to_have_count(4)
    page.locator(".filters input[type=search]").fill("number 2")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    assert page.evaluate("window.sameDocument")
    page.locator("tbody tr").first.click()
    reading(page, rows[2])
    page.go_back()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator(".filters input[type=search]")).to_have_value("number 2")


def test_all_of_a_filter_is_approved_and_taken_back(
    rows: list[Conversation], project: Project, annotator: User, page_of: PageOf
) -> None:
    page = page_of(annotator)
    page.goto(f"/p/{project.slug}/conversations/?q=question")
    page.get_by_text("All of these").click()
    page.get_by_role("link", name="Approve all").click()
    page.get_by_role("button", name="Approve 4 conversations").click()
    expect(page.locator("#progress")).to_contain_text("4 conversations set to")
    assert {status_of(row) for row in rows} == {"approved"}
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#progress")).to_contain_text("Taken back for 4")
    assert {status_of(row) for row in rows} == {"generated"}


def test_rows_are_ticked_by_key_and_by_range_and_decided_together(
    rows: list[Conversation], project: Project, annotator: User, page_of: PageOf
) -> None:
    page = page_of(annotator)
    page.goto(f"/p/{project.slug}/conversations/?status=generated")
    bar, boxes = page.locator(".bulk-bar"), page.locator("tbody input[type=checkbox]")
    expect(bar).to_be_hidden()
    for key in "xjjx":
        page.keyboard.press(key)
    expect(bar).to_contain_text("2 selected")
    expect(page.get_by_text("All of these")).to_be_hidden()
    boxes.nth(0).uncheck()
    boxes.nth(2).uncheck()
    boxes.nth(1).check()
    boxes.nth(3).click(modifiers=["Shift"])
    expect(bar).to_contain_text("3 selected")

    page.locator(".filters input[type=search]").fill("question")  # the list is brought anew
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("q=question"))
    expect(bar).to_contain_text("3 selected")
    expect(page.locator("[data-select-all]")).to_have_js_property("indeterminate", True)

    page.keyboard.press("Escape")
    page.keyboard.press("a")
    page.get_by_role("button", name="Approve 3 conversations").press("Enter")
    expect(page.locator("#progress")).to_contain_text("3 conversations set to")
    assert [status_of(row) for row in rows] == ["approved", "approved", "approved", "generated"]
    page.get_by_role("link", name="Back to the conversations").click()
    expect(boxes).to_have_count(1)
    expect(bar).to_be_hidden()


def test_ticks_give_way_to_all_that_match(
    project: Project, annotator: User, page_of: PageOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.views.conversations.ROWS", 2)
    rows = [make_conversation(project, f"Question number {n}?", "Yes.") for n in range(5)]
    make_conversation(project, "Another matter?", "No.")
    page = page_of(annotator)
    page.goto(f"/p/{project.slug}/conversations/?q=question")
    page.locator("[data-select-all]").check()
    page.get_by_role("button", name="Select all 5 that match").click()
    expect(page.locator(".bulk-bar")).to_contain_text("All 5 selected")
    page.get_by_label("Clear the selection").click()
    expect(page.locator(".bulk-bar")).to_be_hidden()
    page.locator("tbody input").first.check()
    page.get_by_role("button", name="Select all 5 that match").click()
    page.keyboard.press("f")
    page.get_by_role("button", name="Flag 5 conversations").click()
    expect(page.locator("#progress")).to_contain_text("5 conversations set to")
    assert {status_of(row) for row in rows} == {"flagged"}


def test_rows_are_ticked_and_decided_without_scripts(
    rows: list[Conversation], project: Project, annotator: User, page_of: PageOf, browser: Browser, live_server: object
) -> None:
    context = browser.new_context(java_script_enabled=False, base_url=str(live_server))
    context.add_cookies(page_of(annotator).context.cookies())
    page = context.new_page()
    page.goto(f"/p/{project.slug}/conversations/")
    page.locator("tbody input").nth(0).check()
    page.locator("tbody input").nth(2).check()
    page.get_by_role("button", name="Reject", exact=True).click()
    page.get_by_role("button", name="Reject 2 conversations").click()
    page.get_by_text("Undo").wait_for()
    context.close()
    assert [status_of(row) for row in rows] == ["generated", "rejected", "generated", "rejected"]


def test_an_export_is_chosen_previewed_and_downloaded(
    rows: list[Conversation], project: Project, teammate: User, page_of: PageOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.write_export, "delay", lambda pk: None)
    page = page_of(teammate)
    page.goto(f"/p/{project.slug}/conversations/?q=question")
    page.keyboard.press("e")
    expect(page.locator("#preview")).to_contain_text("4 rows")
    expect(page.locator("#preview pre")).to_contain_text('"role": "user"')
    page.get_by_label("ShareGPT").check()
    expect(page.locator("#preview pre")).to_contain_text('"from": "human"')
    page.get_by_label("System prompt").check()
    expect(page.locator("#preview pre")).to_contain_text('"system"')
    page.locator(".chip", has_text="Approved").click()
    expect(page.locator("#preview")).to_contain_text("review some first")
    page.locator(".chip", has_text="Any").click()
    page.get_by_role("button", name="Export 4 rows").click()
    expect(page.locator("#state")).to_contain_text("0 of 4 conversations")
    tasks.write_export(Export.objects.get().pk)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    lines = download.value.path().read_text().splitlines()
    assert [json.loads(line)["conversations"][0]["value"] for line in lines] == [row.opening for row in rows]


def test_a_verdict_works_without_scripts(
    rows: list[Conversation], project: Project, annotator: User, page_of: PageOf, live_server: object
) -> None:
    cookies = page_of(annotator).context.cookies()
    context = page_of(annotator).context.browser.new_context(java_script_enabled=False, base_url=str(live_server))
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto(f"/p/{project.slug}/conversations/{rows[3].pk}/?status=generated")
    page.get_by_role("button", name="Approve").click()
    reading(page, rows[2])
    page.get_by_role("button", name="Undo").click()
    reading(page, rows[3])
    page.get_by_label("Add a label").fill("odd")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#labels .chip")).to_have_text("odd")
    context.close()
