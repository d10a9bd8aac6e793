"""PDF: what is read of sound files, and the sentence for each that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.reading import Unreadable, chunk
from tests.datasets.reading_files import body, found_in, pdf, problems_of, text_of

REPORT = [
    ["The board met in the spring and looked at the accounts of the compa-", "ny for the first time since the fire. Nothing was missing."],
    ["In the summer the well-known auditor came back, and he asked for more", "time than anybody had expected of so well-", "known a man."],
    ["The accounts were closed in autumn.", "", "A company is not a family, said the auditor."],
]  # fmt: skip


def report() -> bytes:
    """Three pages with a running header and page numbers."""
    pages = []
    for number, lines in enumerate(REPORT, 1):
        header = (72.0, 800.0, 9.0, False, "Annual report - confidential")
        footer = (280.0, 30.0, 9.0, False, f"Page {number} of {len(REPORT)}")
        heading = (72.0, 740.0, 18.0, False, f"Chapter {number}")
        pages.append([header, heading, *body(lines), footer])
    return pdf(pages)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "upload.pdf"


def test_lines_become_paragraphs_and_broken_words_are_joined(path: Path) -> None:
    path.write_bytes(report())
    text = text_of(path).text
    assert "looked at the accounts of the company for the first time since the fire." in text
    assert "of so well-known a man." in text
    assert "closed in autumn.\n\nA company is not a family" in text


def test_running_headers_and_page_numbers_are_left_out(path: Path) -> None:
    path.write_bytes(report())
    text = text_of(path).text
    assert "confidential" not in text
    assert "Page 2" not in text


def test_the_rows_of_a_table_over_pages_are_no_running_headers(path: Path) -> None:
    rows = [body([f"{page}{row} {row} 17 4" for row in range(20)]) for page in range(1, 5)]
    path.write_bytes(pdf(rows))
    text = text_of(path).text
    assert all(f"{page}{row} {row} 17 4" in text for page in range(1, 5) for row in range(20))


def test_pages_begin_where_their_first_words_stand(path: Path) -> None:
    path.write_bytes(report())
    text = text_of(path)
    assert [text.text[start : start + 11] for start in text.pages] == ["# Chapter 1", "# Chapter 2", "# Chapter 3"]
    assert [span.page for span in chunk(text, size=250, overlap=0)] == [1, 2, 3]


def test_a_sentence_goes_on_over_a_page_break(path: Path) -> None:
    path.write_bytes(pdf([body(["The rain that fell on the roof all night ran"]), body(["down into the cellar."])]))
    text = text_of(path)
    assert text.text == "The rain that fell on the roof all night ran down into the cellar."
    assert text.text[text.pages[1] :] == "down into the cellar."


def test_larger_and_bold_lines_are_headings(path: Path) -> None:
    bold = (72.0, 650.0, 11.0, True, "By hand")
    more = body(["The second part is longer than the first, as it says more about it."], top=630)
    path.write_bytes(
        pdf(
            [[(72.0, 740.0, 20.0, False, "Big"), *body(["Some words that make up the body of the page."]), bold, *more]]
        )
    )
    text = text_of(path)
    assert [(heading.level, heading.text) for heading in text.headings] == [(1, "Big"), (2, "By hand")]
    assert all(text.text[heading.offset :].startswith("#" * heading.level + " ") for heading in text.headings)
    assert text.title == "Big"


def test_an_address_keeps_its_lines_and_a_list_its_items(path: Path) -> None:
    address = ["Harrow Instruments", "4 Mill Lane", "Skerrin Bay"]
    items = ["1. The first item of the list, which is as long as it can be here", "2. The second one"]
    path.write_bytes(
        pdf([body([*address, "", "We read the words of the page as they stand, line by line by line.", "", *items])])
    )
    text = text_of(path).text
    assert "Harrow Instruments\n4 Mill Lane\nSkerrin Bay" in text
    assert "\n2. The second one" in text


def test_the_title_is_the_documents_own_without_the_program_that_made_it(path: Path) -> None:
    path.write_bytes(pdf([body(["Some words."])], title="Microsoft Word - Yearly letter.docx"))
    assert text_of(path).title == "Yearly letter"


def test_a_scan_is_refused_with_what_to_do(path: Path) -> None:
    stamp = [(72.0, 820.0, 9.0, False, "Case 4:08 Document 26 Page 1")]
    path.write_bytes(pdf([[], stamp], picture=True))
    with pytest.raises(Unreadable, match=r"no text layer.*OCR"):
        found_in(path)


def test_scanned_pages_among_others_are_named(path: Path) -> None:
    words = [
        "The first page is read.",
        "Another one also has its words.",
        "",
        "",
        "so many words that they number 4",
        "",
    ]
    pages = [body([line, line.upper()]) for line in words]
    pages[2] = pages[3] = pages[5] = []
    path.write_bytes(pdf(pages, picture=True))
    [problem] = problems_of(path)
    assert problem.where == "pages 3-4, 6"
    assert "OCR" in problem.sentence
    assert "number 4" in text_of(path).text


def test_a_locked_pdf_asks_for_one_without_a_password(path: Path) -> None:
    path.write_bytes(pdf([body(["Secret."])], locked=True))
    with pytest.raises(Unreadable, match=r"locked with a password.*without the password"):
        found_in(path)


@pytest.mark.parametrize("damage", ["cut", "garbage", "no pages"])
def test_a_broken_pdf_is_to_be_printed_again(path: Path, damage: str) -> None:
    whole = report()
    path.write_bytes({"cut": whole[:60], "garbage": b"%PDF-1.7\n" + b"\x81" * 5000, "no pages": pdf([])}[damage])
    with pytest.raises(Unreadable, match=r"broken or cut off.*print it to PDF again"):
        found_in(path)


def test_a_pdf_of_too_many_pages_is_to_be_cut(path: Path) -> None:
    path.write_bytes(pdf([body([f"Page {number}"]) for number in range(12)]))
    with pytest.raises(Unreadable, match="12 pages, and the limit is 10: cut it"):
        found_in(path, max_pages=10)


def test_a_pdf_with_too_much_text_is_to_be_cut(path: Path) -> None:
    path.write_bytes(report())
    with pytest.raises(Unreadable, match="longer than 100 characters"):
        found_in(path, max_chars=100)


def test_a_pdf_with_blank_lines_before_its_mark_is_still_one(path: Path) -> None:
    path.write_bytes(b"\r\n%%EOF\r\n" + report())
    assert "company" in text_of(path).text
