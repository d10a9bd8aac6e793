"""DOCX: paragraphs, lists and tables in document order, with what tracked changes and content controls hold."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

import docx
from docx.document import Document
from docx.opc.exceptions import OpcError
from docx.oxml.ns import qn
from docx.text.paragraph import Paragraph
from lxml import etree

from .clean import clean, one_line, squeeze, tidy, title_of
from .contract import JSON, Problem, ReadOptions, Source, Text, Unreadable
from .docx_lists import Numbering
from .writer import Writer

MAX_HEADING = 200  # longer ones are paragraphs that somebody styled as headings
MAX_PARTS = 5_000
MAX_UNPACKED = 512 * 2**20
MAX_XML = 64 * 2**20
MAX_RATIO = 250  # packed XML shrinks to a tenth or so; a bomb to a thousandth
_SMALL = 10 * 2**20  # under which a ratio says nothing

BOMB = (
    "The DOCX unpacks to far more than a document holds ({size:,.0f} MB), which is how files made to harm are built: "
    "save it again in a word processor and upload that."
)
BROKEN = "The DOCX is broken or cut off: open it in a word processor, save it again and upload that."
ENTITIES = (
    "The DOCX declares XML entities, which documents never do: save it again in a word processor and upload that."
)

_BLOCKS = {qn("w:p"), qn("w:tbl")}
_SEES_THROUGH = {qn("w:sdt"), qn("w:sdtContent"), qn("w:customXml"), qn("w:ins"), qn("w:moveTo"), qn("w:smartTag")}
_TEXT = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}
_SKIPPED = {qn("w:del"), qn("w:moveFrom"), qn("w:pPr"), qn("w:rPr"), qn("w:instrText")}
_BY_HAND = 3  # the level of headings that are only bold
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_FOOTNOTES = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"


def read(source: Source, options: ReadOptions) -> Iterator[Text | Problem]:
    check_package(source)
    try:
        document = docx.Document(str(source.path))
    except (OpcError, zipfile.BadZipFile, etree.XMLSyntaxError, KeyError, ValueError, OSError) as error:
        raise Unreadable(BROKEN) from error
    writer = Writer(options.max_chars)
    _Pages(document, writer).write()
    first = next((heading.text for heading in writer.headings if heading.level == 1), "")
    properties = document.core_properties
    title = title_of(properties.title or "")
    if title.casefold() in ("word document", "document", "untitled"):
        title = ""
    metadata: dict[str, JSON] = {"author": one_line(properties.author)} if properties.author else {}
    yield writer.text(title or title_of(first) or source.title, metadata)


def check_package(source: Source) -> None:
    """Raises Unreadable unless the package is whole and unpacks to something a document may be."""
    try:
        with zipfile.ZipFile(source.path) as package:
            parts = package.infolist()
            size = sum(part.file_size for part in parts)
            packed = sum(part.compress_size for part in parts)
            too_dense = size > _SMALL and size > MAX_RATIO * max(packed, 1)
            if len(parts) > MAX_PARTS or size > MAX_UNPACKED or too_dense:
                raise Unreadable(BOMB.format(size=size / 1e6))
            for part in parts:
                if part.filename.lower().endswith((".xml", ".rels")):
                    _check_xml(package, part)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise Unreadable(BROKEN) from error


def _check_xml(package: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    """Unpacks one XML part, and counts: the size that a package declares may be a lie."""
    if part.file_size > MAX_XML:
        raise Unreadable(BOMB.format(size=part.file_size / 1e6))
    with package.open(part) as file:
        head = file.read(2**16).replace(b"\0", b"").upper()
        if b"<!DOCTYPE" in head or b"<!ENTITY" in head:
            raise Unreadable(ENTITIES)
        unpacked = len(head)
        while block := file.read(2**20):
            unpacked += len(block)
            if unpacked > MAX_XML:
                raise Unreadable(BOMB.format(size=unpacked / 1e6))


class _Pages:
    """One walk over a document's body."""

    def __init__(self, document: Document, writer: Writer) -> None:
        self._document = document
        self._writer = writer
        self._numbering = Numbering(document)
        self._in_list = False
        self._below_title = False  # a title stands above headings of level 1

    def write(self) -> None:
        for block in _blocks(self._document.element.body):
            if block.tag == qn("w:p"):
                self._paragraph(block)
            else:
                self._writer.table(_rows(block))
                self._in_list = False
        for number, note in self._footnotes():
            self._writer.add(f"[{number}] {note}")

    def _paragraph(self, element: etree._Element) -> None:
        text = _text(element)
        if not text.strip():
            return
        paragraph = Paragraph(element, self._document._body)
        level = _heading_level(paragraph) if len(text) <= MAX_HEADING else 0
        if level:
            number = self._numbering.marker(paragraph).strip()
            is_title = paragraph.style is not None and paragraph.style.name == "Title"
            self._writer.heading(
                level + self._below_title * (not is_title),
                one_line(f"{number} {text}" if number not in ("", "-") else text),
            )
            self._below_title = self._below_title or is_title
            self._in_list = False
            return
        marker = self._numbering.marker(paragraph)
        body = "\n".join(squeeze(line).strip() for line in tidy(clean(text)).split("\n"))
        self._writer.add(marker + body, "\n" if marker and self._in_list else "\n\n")
        self._in_list = bool(marker)

    def _footnotes(self) -> Iterator[tuple[str, str]]:
        """The footnotes that the text refers to, in order of number."""
        for relation in self._document.part.rels.values():
            if relation.reltype == _FOOTNOTES and not relation.is_external:
                root = etree.fromstring(
                    relation.target_part.blob, etree.XMLParser(resolve_entities=False, no_network=True)
                )
                for note in root.iterfind(qn("w:footnote")):
                    text = one_line(" ".join(_text(paragraph) for paragraph in note.iter(qn("w:p"))))
                    if text and note.get(qn("w:type")) in (None, "normal"):
                        yield note.get(qn("w:id"), ""), text


def _blocks(parent: etree._Element) -> Iterator[etree._Element]:
    """Paragraphs and tables below `parent`, also those inside content controls and tracked insertions."""
    for child in parent:
        if child.tag in _BLOCKS:
            yield child
        elif child.tag in _SEES_THROUGH:
            yield from _blocks(child)


def _text(element: etree._Element) -> str:
    """The words of a paragraph as they stand after all tracked changes; footnotes are marked by number."""
    said: list[str] = []
    stack = [iter(element)]
    while stack:
        child = next(stack[-1], None)
        if child is None:
            stack.pop()
        elif child.tag == qn("w:t"):
            said.append(child.text or "")
        elif child.tag in _TEXT:
            said.append(_TEXT[child.tag])
        elif child.tag == qn("w:footnoteReference"):
            said.append(f" [{child.get(qn('w:id'), '')}]")
        elif child.tag == qn("w:fldChar"):
            said.append(_form_value(child))
        elif child.tag not in _SKIPPED and child.tag != _FALLBACK:
            stack.append(iter(child))
    return "".join(said)


def _form_value(field: etree._Element) -> str:
    """What a form field shows: the chosen entry of a list, a ticked or empty box. Other fields show their own text."""
    box = field.find(f"{qn('w:ffData')}/{qn('w:checkBox')}")
    if box is not None:
        state = box.find(qn("w:checked"))
        state = box.find(qn("w:default")) if state is None else state
        return "[x]" if state is not None and state.get(qn("w:val"), "1") not in ("0", "false") else "[ ]"
    choices = field.find(f"{qn('w:ffData')}/{qn('w:ddList')}")
    if choices is None:
        return ""
    entries = [entry.get(qn("w:val"), "") for entry in choices.iterfind(qn("w:listEntry"))]
    result = choices.find(qn("w:result"))
    chosen = result.get(qn("w:val"), "0") if result is not None else "0"
    return entries[int(chosen)] if chosen.isdecimal() and int(chosen) < len(entries) else ""


def _rows(table: etree._Element) -> list[list[str]]:
    """The cells of a table, row by row; a table within a cell becomes the cell's words."""
    rows = []
    for row in table.iter(qn("w:tr")):
        if next(row.iterancestors(qn("w:tbl"))) is table:
            rows.append([_cell(cell) for cell in row.iter(qn("w:tc")) if next(cell.iterancestors(qn("w:tr"))) is row])
    return rows


def _cell(cell: etree._Element) -> str:
    return one_line(" ".join(_text(paragraph) for paragraph in cell.iter(qn("w:p"))))


def _heading_level(paragraph: Paragraph) -> int:
    """1 to 6 by the outline level of the paragraph or of its style, whatever language the style is named in; 0 for none."""
    style = paragraph.style
    if style is not None and style.name in ("Title", "Subtitle"):
        return 1 if style.name == "Title" else 2
    holders = [paragraph._p]
    while style is not None and len(holders) < 12:
        holders.append(style.element)
        style = style.base_style
    for holder in holders:
        outline = holder.find(f"{qn('w:pPr')}/{qn('w:outlineLvl')}")
        if outline is not None and outline.get(qn("w:val"), "9").isdecimal():
            level = int(outline.get(qn("w:val")))
            return level + 1 if level < 6 else 0
    name = paragraph.style.name or "" if paragraph.style is not None else ""
    if name.startswith("Heading ") and name[8:].isdecimal():
        return int(name[8:])
    return _BY_HAND if _is_bold_line(paragraph) else 0


def _is_bold_line(paragraph: Paragraph) -> bool:
    """A short line all in bold, on its own: a heading made by hand."""
    runs = [run for run in paragraph.runs if run.text.strip()]
    short = 2 < sum(len(run.text) for run in runs) <= 80
    return short and all(run.bold for run in runs) and not paragraph.text.rstrip().endswith((".", ",", ";", ":"))
