"""Plain text, and the text of rows: kept as written, unless it is a print with page breaks or broken words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate

from .clean import clean, tidy
from .contract import Heading, Problem, ReadOptions, Source, Text
from .encoding import Encoding, read_text
from .layout import printed_lines, without_running_lines, write_pages
from .writer import Writer

_LONG = 80
_HEADING = re.compile(r"(?:[^\W_a-z]|\d[\d.]* )[^\n|]{1,58}[^\s.,:;!?|]")
_BROKEN_WORD = re.compile("[^\\W\\d_][-\xad]\n[ \t]*[^\\W\\d_]")
DAMAGED = "Some bytes of the file are not UTF-8 and show as \ufffd: save it again as UTF-8 to mend them."


def read(source: Source, options: ReadOptions) -> Iterator[Text | Problem]:
    raw, encoding = read_text(source.path, options.max_chars)
    yield from damage(encoding)
    writer = Writer(options.max_chars)
    write(raw, writer)
    text = writer.text(source.title)
    yield text if text.pages else with_headings(text)


def with_headings(text: Text) -> Text:
    """The text with the lines that look like headings named as such, the first of them as its title."""
    headings = tuple(_headings(text.text))
    opens = bool(headings) and headings[0].level == 1
    return replace(text, headings=headings, title=headings[0].text if opens else text.title)


def _headings(text: str) -> Iterator[Heading]:
    """Short lines without an end, each between paragraphs and before a longer line. One that opens the text is its title."""
    lines = text.split("\n")
    starts = accumulate((len(line) + 1 for line in lines), initial=0)
    for number, (line, start) in enumerate(zip(lines, starts, strict=False)):
        above, below = lines[number - 1] if number else "", lines[number + 1] if number + 1 < len(lines) else ""
        follows = below or (lines[number + 2] if number + 2 < len(lines) else "")
        alone = all(not other or len(other) > _LONG for other in (above, below))
        if alone and _HEADING.fullmatch(line) and (number == 0 or len(follows) > len(line)):
            yield Heading(start, 2 if number else 1, line.strip())


def damage(encoding: Encoding) -> Iterator[Problem]:
    """Says so, if some of the file could not be decoded."""
    if encoding.damaged:
        yield Problem("", DAMAGED)


def write(raw: str, writer: Writer) -> None:
    """Adds text of unknown layout to the writer."""
    text = clean(raw).strip("\f\n")
    if is_print(text):
        pages = [printed_lines(page) for page in text.split("\f")]
        write_pages(without_running_lines(pages) if len(pages) > 1 else pages, writer, lambda _text, _lines: 0)
    else:
        writer.add(tidy(text))


def is_print(text: str) -> bool:
    """Whether lines were broken by a typesetter: there are page breaks, or words broken at the ends of lines."""
    if "\f" in text:
        return True
    may_be = "-\n" in text or "\xad\n" in text  # which is quick to see, and rare
    return may_be and len(_BROKEN_WORD.findall(text)) >= 3
