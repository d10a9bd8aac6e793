"""A report, from the form to the file on a disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from datasets import tasks
from datasets.models import Project, Report, User
from tests.factories import make_conversation

PageOf = Callable[[User], Page]


def test_a_report_is_made_while_its_page_waits_and_its_file_opens_from_a_disk(
    project: Project, teammate: User, page_of: PageOf, tmp_path: Path
) -> None:
    for n in range(3):
        make_conversation(project, f"Question {n}?", f"Answer {n}.", status="approved" if n else "")
    page = page_of(teammate)
    page.goto(f"/p/{project.slug}/quality/")
    page.get_by_role("link", name="New report").first.click()
    expect(page.locator("#preview")).to_contain_text("3 conversations")
    page.get_by_text("Approved", exact=True).click()
    expect(page.locator("#preview")).to_contain_text("2 conversations")
    page.keyboard.press("Control+Enter")
    expect(page.locator("h1")).to_contain_text("Waiting")
    tasks.make_report(Report.objects.get().pk)
    expect(page.locator("h1")).to_contain_text("Done")
    expect(page.get_by_role("img", name="Words of a user's message")).to_be_visible()
    page.locator(".chart-numbers summary").first.click()
    expect(page.locator(".chart-numbers tbody").first).to_be_visible()

    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    papers = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto(file.as_uri())
        papers.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert page.evaluate("getComputedStyle(document.querySelector('.rect')).fill") != "rgb(0, 0, 0)"
    assert asked == [file.as_uri()] * 2
    assert len(papers) == 2
