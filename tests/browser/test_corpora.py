"""Whole folders are uploaded with their paths, and a collection is adopted step by step, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect
from qdrant_client import QdrantClient

from datasets.models import Project, User
from datasets.services.collecting import corpora
from tests.datasets.adopting import fill
from tests.fixtures_foreign_qdrant import ForeignQdrant

PageOf = Callable[[User], Page]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

DROP = """(input) => {
    const file = new File(["text"], "notes.txt");
    const folder = (name, children) => ({ isFile: false, name, createReader: () => {
        let asked = 0;
        return { readEntries: (done) => done(asked++ ? [] : children) };
    } });
    const leaf = { isFile: true, name: "notes.txt", fullPath: "/manual/more/notes.txt", file: (done) => done(file) };
    const transfer = { items: [{ webkitGetAsEntry: () => folder("manual", [folder("more", [leaf])]) }], files: [] };
    const event = new Event("drop", { bubbles: true, cancelable: true });
    Object.defineProperty(event, "dataTransfer", { value: transfer });
    input.closest(".drop").dispatchEvent(event);
}"""

FOUND = """(results, [question, passage]) => {
    const box = Object.assign(document.createElement("div"), { className: "sources", textContent: passage });
    box.dataset.asked = question;
    results.replaceChildren(box);
    results.dispatchEvent(new CustomEvent("htmx:load", { bubbles: true }));
}"""
MARKED = """() => [...CSS.highlights.get("asked")].map(
    (range) => range.startContainer.data.slice(range.startOffset, range.endOffset))"""


def test_a_chosen_folder_keeps_its_paths(project: Project, teammate: User, page_of: PageOf, tmp_path: Path) -> None:
    corpus = corpora.create_corpus(project=project, name="Manual", user=None)
    (tmp_path / "manual" / "more").mkdir(parents=True)
    for name in ("notes.txt", "more/notes.txt", "more/.hidden"):
        (tmp_path / "manual" / name).write_text(f"The text of {name}.")
    page = page_of(teammate)
    page.goto(reverse("datasets:corpus-detail", args=[project.slug, corpus.pk]))
    page.get_by_text("A whole folder", exact=True).click()
    page.set_input_files("#id_folder", tmp_path / "manual")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("manual/more/notes.txt").first).to_be_visible()
    assert sorted(corpus.files.values_list("name", flat=True)) == ["manual/more/notes.txt", "manual/notes.txt"]


def test_a_dropped_folder_keeps_its_paths(project: Project, teammate: User, page_of: PageOf) -> None:
    corpus = corpora.create_corpus(project=project, name="Manual", user=None)
    page = page_of(teammate)
    page.goto(reverse("datasets:corpus-detail", args=[project.slug, corpus.pk]))
    page.locator("#id_files").evaluate(DROP)
    expect(page.locator(".drop-list").first).to_contain_text("manual/more/notes.txt")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("link", name="manual/more/notes.txt")).to_be_visible()
    assert list(corpus.files.values_list("name", flat=True)) == ["manual/more/notes.txt"]


def test_a_collection_is_adopted_step_by_step(
    project: Project, teammate: User, page_of: PageOf, foreign: ForeignQdrant, qdrant: QdrantClient
) -> None:
    fill(qdrant)
    page = page_of(teammate)
    page.goto(reverse("datasets:corpus-list", args=[project.slug]))
    page.get_by_role("link", name="Adopt a collection").click()
    page.get_by_label("Address").fill(foreign.url)
    page.get_by_role("button", name="Connect").click()
    page.get_by_label("collection").select_option("court")  # and the next step comes by itself
    expect(page.get_by_label("Text", exact=True)).to_have_value("text")
    expect(page.get_by_label("Searched by")).to_contain_text("4 dimensions, Cosine")
    page.get_by_role("button", name="Adopt").click()
    expect(page.get_by_role("heading", name="How it is searched")).to_be_visible()
    corpus = project.corpora.get()
    assert corpus.adopted is not None
    page.get_by_role("link", name="Later").click()
    expect(page.get_by_text("searched by its vectors alone")).to_be_visible()


def test_the_words_of_a_question_are_marked_in_what_it_finds(project: Project, teammate: User, page_of: PageOf) -> None:
    corpus = corpora.create_corpus(project=project, name="Animals", user=None)
    page = page_of(teammate)
    page.goto(reverse("datasets:corpus-search", args=[project.slug, corpus.pk]))
    page.locator("#results").evaluate(
        FOUND, ["where the cat (sleeps", "The cat sleeps on the warm windowsill; a bobcat <i>not</i>."]
    )
    assert page.evaluate(MARKED) == ["The", "cat", "sleeps", "the"]
    page.locator("#results").evaluate(FOUND, ["windowsill", "The cat sleeps on the warm windowsill."])
    assert page.evaluate(MARKED) == ["windowsill"]
