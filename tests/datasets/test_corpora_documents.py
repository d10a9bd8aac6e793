"""A document's page: all of its text, in parts, with passages, pages and a quoted stretch marked where they are."""

from __future__ import annotations

import time
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from django.test import Client
from django.urls import reverse

from datasets.models import Corpus, Document, Passage, Project, SourceFile, User
from datasets.services.collecting import parts
from datasets.services.collecting.parts import read_part
from tests.factories import make_corpus

pytestmark = pytest.mark.django_db


@pytest.fixture
def corpus(project: Project) -> Corpus:
    return make_corpus(project)


@pytest.fixture
def http(client_of: Callable[[User], Client], annotator: User) -> Client:
    return client_of(annotator)


def make_document(corpus: Corpus, text: str, spans: list[tuple[int, int]], pages: list[int] | None = None) -> Document:
    number = corpus.files.count()
    source = SourceFile.objects.create(corpus=corpus, name=f"file {number}.txt", size=1, state="ready")
    document = Document.objects.create(
        corpus=corpus, source=source, title=f"Document {number}", text=text, pages=pages or [], characters=len(text),
        passage_count=len(spans), revision=1, metadata={"court": "<b>High</b>", "year": 2017, "judges": ["A", "B"]},
    )  # fmt: skip
    Passage.objects.bulk_create(
        Passage(corpus=corpus, document=document, index=index, text=text[start:end], start=start, end=end)
        for index, (start, end) in enumerate(spans)
    )
    return document


def even_spans(length: int, size: int, step: int) -> list[tuple[int, int]]:
    return [(start, min(start + size, length)) for start in range(0, length, step)]


def address(document: Document, **query: int) -> str:
    url = reverse("datasets:document-detail", args=[document.corpus.project.slug, document.corpus_id, document.pk])
    return url + ("?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else "")


class Reader(HTMLParser):
    """What a person sees in the page's reader: its text, and the text inside elements of a class."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.text = self.quoted = self.shared = ""
        self.ids: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if self.open or given.get("class") == "reader":
            self.open.append((tag, given.get("class") or ""))
            self.ids += [given["id"]] if given.get("id") else []

    def handle_endtag(self, tag: str) -> None:
        if self.open:
            assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        classes = [name for _, name in self.open]
        if not self.open or "reader-page" in classes:
            return
        self.text += data
        self.quoted += data if "quoted" in classes else ""
        self.shared += data if "shared" in classes else ""


def seen(http: Client, url: str) -> Reader:
    response = http.get(url)
    assert response.status_code == 200
    return Reader(response.content.decode())


TEXT = "<b>One</b> & two three.  Four five.\n\nSix seven eight nine ten."
SPANS = [(0, 24), (17, 35), (37, 62)]


@pytest.mark.parametrize(
    ("start", "end"), [(0, 3), (5, 20), (17, 24), (20, 40), (30, 62), (35, 37), (0, 62), (61, 62), (17, 35)]
)
def test_a_quoted_stretch_is_marked_exactly_across_overlapping_passages(
    corpus: Corpus, http: Client, start: int, end: int
) -> None:
    document = make_document(corpus, TEXT, SPANS)
    reader = seen(http, address(document, start=start, end=end))
    assert reader.text == TEXT
    assert reader.quoted == TEXT[start:end]
    assert reader.ids.count("span") == 1


@pytest.mark.parametrize(("start", "end"), [(50, 20), (60, 9000), (9000, 9999), (0, 0)])
def test_a_stretch_that_is_not_there_shows_the_text_all_the_same(
    corpus: Corpus, http: Client, start: int, end: int
) -> None:
    reader = seen(http, address(make_document(corpus, TEXT, SPANS), start=start, end=end))
    assert reader.text == TEXT
    assert reader.quoted == TEXT[start:end]


def test_what_two_passages_share_is_marked_and_every_passage_can_be_linked_to(corpus: Corpus, http: Client) -> None:
    document = make_document(corpus, TEXT, SPANS)
    reader = seen(http, address(document))
    assert reader.text == TEXT
    assert reader.shared == TEXT[17:24]
    assert reader.ids == [f"passage-{pk}" for pk in document.passages.order_by("index").values_list("pk", flat=True)]


def test_a_passage_is_marked_by_its_number(corpus: Corpus, http: Client) -> None:
    document = make_document(corpus, TEXT, SPANS)
    passage = document.passages.get(index=1)
    assert seen(http, address(document, passage=passage.pk)).quoted == passage.text
    other = make_document(corpus, "another", [(0, 7)])
    assert seen(http, address(document, passage=other.passages.get().pk)).quoted == ""


def test_pages_begin_where_they_do_and_are_numbered(corpus: Corpus, http: Client) -> None:
    document = make_document(corpus, TEXT, SPANS, pages=[0, 20, 37])
    html = http.get(address(document)).content.decode()
    assert [html.count(f">Page {number}<") for number in (1, 2, 3, 4)] == [1, 1, 1, 0]
    assert html.index("Page 2") < html.index("Four") < html.index("Page 3") < html.index("Six")


def test_the_row_of_a_table_shows_what_else_it_said(corpus: Corpus, http: Client) -> None:
    html = http.get(address(make_document(corpus, TEXT, SPANS))).content.decode()
    assert "&lt;b&gt;High&lt;/b&gt;" in html
    assert "2017" in html
    assert "[&quot;A&quot;, &quot;B&quot;]" in html


def test_the_parts_of_a_long_document_are_the_whole_of_it(
    corpus: Corpus, http: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART", 100)
    text = "".join(f"{number:06} " for number in range(120))
    document = make_document(corpus, text, even_spans(len(text), 40, 33))
    first = read_part(document)
    read = [seen(http, address(document, part=number)).text for number in range(1, first.total + 1)]
    assert "".join(read) == text
    assert max(map(len, read)) < 150
    starts = set(document.passages.values_list("start", flat=True))
    assert all(read_part(document, number=number).start in starts for number in range(1, first.total))


@pytest.mark.parametrize("at", [0, 5, 99, 100, 101, 333, 700, 839])
def test_the_part_that_holds_the_stretch_is_shown_first(
    corpus: Corpus, http: Client, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(parts, "PART", 100)
    text = "".join(f"{number:06} " for number in range(120))
    document = make_document(corpus, text, even_spans(len(text), 40, 33))
    assert seen(http, address(document, start=at, end=at + 1)).quoted == text[at]


@pytest.mark.parametrize("number", ["0", "-3", "99999999999999999999", "x", ""])
def test_a_part_that_does_not_exist_shows_the_nearest(corpus: Corpus, http: Client, number: str) -> None:
    document = make_document(corpus, TEXT, SPANS)
    assert seen(http, address(document) + f"?part={number}").text == TEXT


def test_a_document_without_passages_and_an_empty_one_are_shown(corpus: Corpus, http: Client) -> None:
    assert seen(http, address(make_document(corpus, TEXT, []))).text == TEXT
    assert seen(http, address(make_document(corpus, "", []))).text == ""


def test_the_neighbours_are_the_documents_before_and_after(corpus: Corpus, http: Client) -> None:
    one, two, three = (make_document(corpus, TEXT, SPANS) for _ in range(3))
    make_document(make_corpus(corpus.project), TEXT, SPANS)
    page = http.get(address(two))
    assert (page.context["previous"], page.context["next"]) == (one, three)
    assert http.get(address(one)).context["previous"] is None
    assert http.get(address(three)).context["next"] is None


def test_a_book_is_shown_as_fast_as_a_leaflet(corpus: Corpus, http: Client) -> None:
    text = "All that is said in this long book is said again. " * 40_000
    document = make_document(corpus, text, even_spans(len(text), 1200, 1050))
    http.get(address(document))
    begun = time.perf_counter()
    reader = seen(http, address(document, start=1_900_000, end=1_900_400))
    assert time.perf_counter() - begun < 1.0
    assert reader.quoted == text[1_900_000:1_900_400]
