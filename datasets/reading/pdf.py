"""PDF, by pdfium: page by page in reading order, with lines put together again by where they stand on the page."""

from __future__ import annotations

import ctypes
import mmap
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from .clean import clean, squeeze, title_of
from .contract import Problem, ReadOptions, Source, Text, Unreadable
from .layout import Line, without_running_lines, write_pages
from .writer import Writer

LOCKED = "The PDF is locked with a password: open it, save it without the password and upload it again."
BROKEN = "The PDF is broken or cut off: open it in a PDF reader, print it to PDF again and upload that."
NO_TEXT = (
    "The PDF has no text layer (its pages are pictures, as from a scanner): run text recognition (OCR) on it and upload "
    "the PDF that comes out."
)
GARBLED = (
    "The PDF's fonts do not say which letters they show: run text recognition (OCR) on it and upload what comes out."
)
PICTURES = (
    "No text on these pages, only pictures: run text recognition (OCR) on the PDF and upload it again to have them."
)
LOST = "This page is broken and was left out: print the PDF to PDF again and upload that."

_FEW = 25  # visible characters under which a page with a picture on it counts as a scan (stamps are often typed on)
_LINE = re.compile("([^\r\n\ufffe]*)(\r\n|\ufffe|\r|\n|$)")
_MADE_BY = re.compile(r"^(?:Microsoft (?:Word|PowerPoint) - )|\.(?:docx?|pdf|rtf|odt|indd|tex)$", re.IGNORECASE)
_WRONG_PASSWORD = 4


def read(source: Source, options: ReadOptions) -> Iterator[Text | Problem]:
    document = _open(source)
    try:
        yield from _read(document, source, options)
    finally:
        document.close()


def _open(source: Source) -> pdfium.PdfDocument:
    try:
        document = pdfium.PdfDocument(source.path)
    except pdfium.PdfiumError as error:
        locked = error.err_code == _WRONG_PASSWORD and _is_encrypted(source)
        raise Unreadable(LOCKED if locked else BROKEN) from error
    if not len(document):
        raise Unreadable(BROKEN)
    return document


def _is_encrypted(source: Source) -> bool:
    """pdfium keeps the code of an earlier failure where it names no reason: the file must say so too."""
    with source.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"/Encrypt") >= 0


def _read(document: pdfium.PdfDocument, source: Source, options: ReadOptions) -> Iterator[Text | Problem]:
    if len(document) > options.max_pages:
        raise Unreadable(
            f"The PDF has {len(document):,} pages, and the limit is {options.max_pages:,}: cut it into several files."
        )
    found = [_page_lines(document, number) for number in range(len(document))]
    lost = [number for number, lines in enumerate(found) if lines is None]
    if len(lost) == len(found):
        raise Unreadable(BROKEN)
    pages = without_running_lines([lines or [] for lines in found])
    thin = [number for number, page in enumerate(pages) if _visible(page) < _FEW and number not in lost]
    pictures = [number for number in thin if _has_picture(document[number])]
    if not any(_visible(page) for number, page in enumerate(pages) if number not in pictures):
        raise Unreadable(NO_TEXT)
    if lost:
        yield Problem(_pages(lost), LOST)
    if pictures:
        yield Problem(_pages(pictures), PICTURES)
    writer = Writer(options.max_chars)
    write_pages(pages, writer, _heading_levels(pages))
    text = writer.text(_title(document) or _opening(writer) or source.title)
    if _is_garbled(text.text):
        raise Unreadable(GARBLED)
    yield text


def _page_lines(document: pdfium.PdfDocument, number: int) -> list[Line] | None:
    """The lines of a page, None if it cannot be loaded."""
    try:
        page = document[number]
        text_page = page.get_textpage()
    except pdfium.PdfiumError:
        return None
    try:
        return _lines(text_page)
    finally:
        text_page.close()
        page.close()


def _lines(text_page: pdfium.PdfTextPage) -> list[Line]:
    lines: list[Line] = []
    offset, above = 0, None
    for match in _LINE.finditer(text_page.get_text_range()):
        content, end = match[1], match[2]
        visible = content.strip()
        if visible:
            first = offset + _units(content[: len(content) - len(content.lstrip())])
            line, base = _measured(text_page, content, visible, first)
            line.drop = above - base if above is not None else 0.0
            line.text += "\ufffe" if end == "\ufffe" else ""
            above = base
            lines.append(line)
        offset += _units(content) + len(end)
    return lines


def _units(text: str) -> int:
    """pdfium counts UTF-16 code units."""
    return len(text) + sum(char > "\uffff" for char in text)


def _measured(text_page: pdfium.PdfTextPage, content: str, visible: str, first: int) -> tuple[Line, float]:
    """A line with its edges in points, and the height of its base above the foot of the page."""
    start = raw.FPDFText_GetCharIndexFromTextIndex(text_page, first)
    end = raw.FPDFText_GetCharIndexFromTextIndex(text_page, first + _units(visible) - 1)
    box, last_box = raw.FS_RECTF(), raw.FS_RECTF()
    x, y = ctypes.c_double(), ctypes.c_double()
    raw.FPDFText_GetLooseCharBox(text_page, start, box)
    raw.FPDFText_GetLooseCharBox(text_page, end, last_box)
    raw.FPDFText_GetCharOrigin(text_page, start, x, y)
    text = " ".join(squeeze(clean(visible)).split())
    em = max((last_box.right - box.left) / max(len(visible), 1), 0.1)
    # A line may begin or end with a raised note mark, and bold words may lead into a line that is not a heading.
    size = round(max(box.top - box.bottom, last_box.top - last_box.bottom, 0.1), 1)
    bold = _is_bold(text_page, start) and _is_bold(text_page, (start + end) // 2)
    return Line(text, box.left, last_box.right, 0.0, em, size, bold), y.value


def _is_bold(text_page: pdfium.PdfTextPage, index: int) -> bool:
    name, flags = ctypes.create_string_buffer(128), ctypes.c_int()
    raw.FPDFText_GetFontInfo(text_page, index, name, len(name), flags)
    return b"bold" in name.value.lower() or b"black" in name.value.lower()


def _heading_levels(pages: list[list[Line]]) -> Callable[[str, Sequence[Line]], int]:
    """Headings are what stands in larger letters than the body, largest first, then short bold lines of its own size."""
    weight: Counter[tuple[float, bool]] = Counter()
    for page in pages:
        for line in page:
            weight[line.size, line.bold] += len(line.text)
    (body, body_is_bold), _ = weight.most_common(1)[0]
    larger = sorted({size for size, _ in weight if size >= 1.15 * body}, reverse=True)[:3]

    def level(text: str, lines: Sequence[Line]) -> int:
        size = lines[0].size
        if len(text) > 160 or len(lines) > 3 or not any(map(str.isalpha, text)):
            return 0
        if size >= 1.15 * body:
            return next((at for at, large in enumerate(larger, 1) if size >= large), len(larger))
        stands_out = lines[0].bold and not body_is_bold and size > 0.95 * body
        return len(larger) + 1 if stands_out and not text.endswith((",", ";")) else 0

    return level


def _visible(page: list[Line]) -> int:
    return sum(len(line.text.replace(" ", "")) for line in page)


def _has_picture(page: pdfium.PdfPage) -> bool:
    return any(True for _ in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3))


def _is_garbled(text: str) -> bool:
    """Whether a third of the letters are private, or unknown: the fonts lack their table of characters."""
    unknown = sum(char == "\ufffd" or "\ue000" <= char <= "\uf8ff" for char in text)
    return unknown * 3 > len(text)


def _title(document: pdfium.PdfDocument) -> str:
    title = title_of(document.get_metadata_dict().get("Title", ""))
    title = _MADE_BY.sub("", _MADE_BY.sub("", title))
    return "" if title.casefold() in ("untitled", "document", "title") else title


def _opening(writer: Writer) -> str:
    """The heading that the document opens with, if there is no other of its size."""
    widest = [heading for heading in writer.headings if heading.level == 1]
    return title_of(widest[0].text) if len(widest) == 1 and widest[0].offset == 0 else ""


def _pages(numbers: list[int]) -> str:
    """Page numbers from 1 with runs folded: "pages 3, 7-9"."""
    runs: list[list[int]] = []
    for number in (number + 1 for number in numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    listed = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
    return f"page {listed}" if listed.isdigit() else f"pages {listed}"
