"""DOCX: document order, lists, tables, tracked changes, and archives made to harm."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from docx.document import Document
from docx.enum.style import WD_STYLE_TYPE

from datasets.reading import Unreadable, chunk
from tests.datasets.reading_files import found_in, repacked, text_of, with_lying_size, word

MAIN = "word/document.xml"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "upload.docx"


def handbook(document: Document) -> None:
    document.add_paragraph("Warranty and returns", style="Title")
    document.add_paragraph("Everything is  covered\tby us.")
    document.add_heading("Returns", level=1)
    document.add_paragraph("Ask for a number", style="List Number")
    document.add_paragraph("Pack the mast", style="List Number")
    document.add_paragraph("Not the pole", style="List Bullet 2")
    table = document.add_table(rows=2, cols=2)
    for cell, words in zip(
        [cell for row in table.rows for cell in row.cells], ["Model", "Years", "Petrel | 2", "three"], strict=True
    ):
        cell.text = words
    document.add_heading("Refunds", level=2)
    document.add_paragraph("Within five days.")


def test_headings_lists_and_tables_come_in_document_order(path: Path) -> None:
    assert text_of(word(path, handbook)).text == (
        "# Warranty and returns\n\nEverything is covered by us.\n\n## Returns\n\n"
        "1. Ask for a number\n2. Pack the mast\n- Not the pole\n\n"
        "| Model | Years |\n| --- | --- |\n| Petrel \\| 2 | three |\n\n### Refunds\n\nWithin five days."
    )


def test_passages_know_their_path_of_headings(path: Path) -> None:
    spans = chunk(text_of(word(path, handbook)), size=60, overlap=0)
    assert spans[-1].heading == "Warranty and returns › Returns › Refunds"


def test_headings_are_known_by_their_outline_level_in_any_language(path: Path) -> None:
    def german(document: Document) -> None:
        style = document.styles.add_style("Kapitelüberschrift", WD_STYLE_TYPE.PARAGRAPH)
        style.base_style = document.styles["Heading 2"]
        document.add_paragraph("Garantie", style=style)
        document.add_paragraph("Zwei Jahre.")

    [heading] = text_of(word(path, german)).headings
    assert (heading.level, heading.text) == (2, "Garantie")


def test_a_bold_line_alone_is_a_heading_and_a_long_heading_is_not(path: Path) -> None:
    def by_hand(document: Document) -> None:
        document.add_paragraph().add_run("Shipping").bold = True
        document.add_paragraph("Two days. ").add_run("Bold words").bold = True
        document.add_heading("A paragraph that somebody styled as a heading. " * 6, level=1)

    assert [heading.text for heading in text_of(word(path, by_hand)).headings] == ["Shipping"]


def test_tracked_insertions_are_read_and_deletions_are_not(path: Path) -> None:
    word(path, lambda document: document.add_paragraph("STAYS"))
    inserted = b'<w:ins w:id="1"><w:r><w:t> new</w:t></w:r></w:ins><w:del w:id="2"><w:r><w:delText> old</w:delText></w:r></w:del>'
    repacked(path, MAIN, lambda xml: xml.replace(b"</w:r></w:p>", b"</w:r>" + inserted + b"</w:p>"))
    assert text_of(path).text == "STAYS new"


def test_content_controls_and_chosen_entries_of_forms_are_read(path: Path) -> None:
    word(path, lambda document: document.add_paragraph("Rank:"))
    field = (
        b'<w:r><w:fldChar w:fldCharType="begin"><w:ffData><w:ddList><w:result w:val="1"/>'
        b'<w:listEntry w:val="none"/><w:listEntry w:val=" sergeant"/></w:ddList></w:ffData></w:fldChar></w:r>'
    )
    control = b"<w:sdt><w:sdtContent><w:p><w:r><w:t>Controlled</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    repacked(path, MAIN, lambda xml: xml.replace(b"</w:r></w:p>", b"</w:r>" + field + b"</w:p>" + control))
    assert text_of(path).text == "Rank: sergeant\n\nControlled"


def test_a_truncated_document_is_broken(path: Path) -> None:
    whole = word(path, handbook).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Unreadable, match=r"broken or cut off.*word processor"):
        found_in(path)


def test_a_document_whose_xml_is_broken_is_broken(path: Path) -> None:
    repacked(word(path, handbook), MAIN, lambda xml: xml[:-100])
    with pytest.raises(Unreadable, match="broken or cut off"):
        found_in(path)


def test_a_zip_bomb_is_refused_before_it_is_opened(path: Path) -> None:
    repacked(word(path, handbook), MAIN, lambda xml: xml + b" " * 40_000_000)
    with pytest.raises(Unreadable, match=r"unpacks to far more.*41 MB"):
        found_in(path)


def test_a_zip_bomb_that_lies_about_its_size_is_refused(path: Path) -> None:
    repacked(word(path, handbook), MAIN, lambda xml: xml + b" " * 40_000_000)
    with_lying_size(path, b"word/document.xml", 5_000)
    with pytest.raises(Unreadable, match="broken or cut off"):
        found_in(path)


def test_an_archive_of_very_many_parts_is_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(6_000):
            archive.writestr(f"word/document{number}.xml", b"")
    with pytest.raises(Unreadable, match="unpacks to far more"):
        found_in(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_entity_bomb_is_refused(path: Path, encoding: str) -> None:
    bomb = '<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><d>&b;</d>'
    repacked(word(path, handbook), MAIN, lambda _: bomb.encode(encoding))
    with pytest.raises(Unreadable, match="declares XML entities"):
        found_in(path)


def test_xml_that_nests_without_end_is_broken(path: Path) -> None:
    deep = b"<w:sdt><w:sdtContent>" * 5_000
    repacked(word(path, handbook), MAIN, lambda xml: xml.replace(b"<w:body>", b"<w:body>" + deep))
    with pytest.raises(Unreadable, match="broken or cut off"):
        found_in(path)


def test_an_empty_document_has_no_text(path: Path) -> None:
    word(path, lambda _: None)
    with pytest.raises(Unreadable, match="no text in the file"):
        found_in(path)


def test_another_office_file_is_called_what_it_is(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
    sheet = tmp_path / "budget.docx"
    sheet.write_bytes(packed.getvalue())
    with pytest.raises(Unreadable, match=r"ends in \.docx but this is a spreadsheet.*CSV"):
        found_in(sheet)
