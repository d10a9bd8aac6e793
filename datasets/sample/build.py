"""Writes the DOCX, PDF and RTF files of the handbook from the Markdown in sources/: `python -m datasets.sample.build`.

Reads only as much Markdown as the sources use: headings, paragraphs, items and tables, one block between blank lines.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from pathlib import Path

import docx
import pypdfium2 as pdfium
import pypdfium2.raw as raw

HERE = Path(__file__).parent
TARGET = HERE / "handbook"
PRODUCT = "Petrel handbook, edition 4.2"

_A4 = (595.0, 842.0)
_MARGIN = 72.0
_SIZES = {1: 20.0, 2: 14.0, 0: 11.0}


def main() -> None:
    for stem, write in {
        "02-setting-up": write_docx,
        "03-where-to-put-the-mast": write_pdf,
        "08-care-through-the-year": write_rtf,
        "09-almanac": write_docx,
        "10-warranty": write_pdf,
    }.items():
        source = (HERE / "sources" / f"{stem}.md").read_text(encoding="utf-8")
        write(source, TARGET / stem)


def blocks(source: str) -> Iterator[tuple[str, str]]:
    """Pairs of a kind ("1" and "2" for headings, "-", "1.", "|" and "") and the text of the block or line."""
    for block in source.strip().split("\n\n"):
        for line in block.split("\n"):
            match = re.match(r"(#{1,2}|-|\d+\.) (.*)", line)
            kind, text = (match[1], match[2]) if match else ("|" if line.startswith("|") else "", line)
            yield {"#": "1", "##": "2"}.get(kind, "1." if kind.endswith(".") else kind), text


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip()[1:-1].split("|")]


def write_docx(source: str, target: Path) -> None:
    document = docx.Document()
    document.core_properties.author = "Harrow Instruments"
    styles = {"1": "Title", "2": "Heading 1", "-": "List Bullet", "1.": "List Number", "": "Normal"}
    table = None
    for kind, text in blocks(source):
        if kind != "|":
            table = None
            document.add_paragraph(text, style=styles[kind])
        elif not set(text) <= set("|- "):
            row = cells(text)
            if table is None:
                table = document.add_table(rows=0, cols=len(row), style="Table Grid")
            for cell, words in zip(table.add_row().cells, row, strict=True):
                cell.text = words
    document.save(str(target.with_suffix(".docx")))


def write_rtf(source: str, target: Path) -> None:
    looks = {"1": r"\b\fs36 ", "2": r"\b\fs26 ", "-": r"\bullet\tab ", "1.": "", "": ""}
    title = next(text for kind, text in blocks(source) if kind == "1")
    paragraphs = [rf"{{\pard\sa160 {looks[kind]}{_escaped(text)}\par}}" for kind, text in blocks(source)]
    head = rf"{{\rtf1\ansi\ansicpg1252\deff0{{\fonttbl{{\f0\fswiss Arial;}}}}{{\info{{\title {title}}}}}\f0\fs22"
    target.with_suffix(".rtf").write_text("\n".join([head, *paragraphs, "}"]), encoding="ascii")


def _escaped(text: str) -> str:
    text = re.sub(r"([\\{}])", r"\\\1", text)
    return "".join(char if char < "\x80" else rf"\u{ord(char)}?" for char in text)


def write_pdf(source: str, target: Path) -> None:
    sheet = _Sheet()
    title, number = "", 0
    for kind, text in blocks(source):
        if kind == "1":
            title = text
        number = number + 1 if kind == "1." else 0
        sheet.write({"-": f"- {text}", "1.": f"{number}. {text}"}.get(kind, text), int(kind) if kind.isdigit() else 0)
    sheet.finish(title)
    sheet.document.save(str(target.with_suffix(".pdf")))


class _Sheet:
    """Pages of a PDF that fill from the top."""

    def __init__(self) -> None:
        self.document = pdfium.PdfDocument.new()
        self._plain = raw.FPDFText_LoadStandardFont(self.document, b"Helvetica")
        self._bold = raw.FPDFText_LoadStandardFont(self.document, b"Helvetica-Bold")
        self._pages: list[pdfium.PdfPage] = []
        self._height = 0.0

    def write(self, text: str, level: int) -> None:
        size = _SIZES[level]
        font = self._bold if level else self._plain
        self._height -= size * (1.2 if level else 0.7)
        for line in self._lines(text, font, size):
            self._height -= size * 1.3
            if self._height < _MARGIN:
                self._pages.append(self.document.new_page(*_A4))
                self._height = _A4[1] - _MARGIN - size
            self._put(self._pages[-1], line, font, size, _MARGIN, self._height)

    def finish(self, title: str) -> None:
        """Numbers the pages and writes them."""
        for number, page in enumerate(self._pages, 1):
            self._put(page, f"{PRODUCT} - {title}", self._plain, 9, _MARGIN, _A4[1] - 40)
            self._put(page, f"Page {number} of {len(self._pages)}", self._plain, 9, _MARGIN, 36)
            page.gen_content()

    def _lines(self, text: str, font: raw.FPDF_FONT, size: float) -> Iterator[str]:
        line = ""
        for word in text.split():
            longer = f"{line} {word}" if line else word
            if line and self._width(longer, font, size) > _A4[0] - 2 * _MARGIN:
                yield line
                longer = word
            line = longer
        yield line

    def _width(self, text: str, font: raw.FPDF_FONT, size: float) -> float:
        total, width = 0.0, ctypes.c_float()
        for char in text:
            raw.FPDFFont_GetGlyphWidth(font, ord(char), size, width)
            total += width.value
        return total

    def _put(self, page: pdfium.PdfPage, text: str, font: raw.FPDF_FONT, size: float, left: float, base: float) -> None:
        item = raw.FPDFPageObj_CreateTextObj(self.document, font, size)
        coded = (text + "\0").encode("utf-16-le")
        raw.FPDFText_SetText(item, ctypes.cast(ctypes.c_char_p(coded), raw.FPDF_WIDESTRING))
        raw.FPDFPageObj_Transform(item, 1, 0, 0, 1, left, base)
        raw.FPDFPage_InsertObject(page, item)


if __name__ == "__main__":
    main()
