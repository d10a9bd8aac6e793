"""Plain text, and the text of rows: kept as written, unless it is a print with page breaks or broken words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .clean import clean, tidy
from .contract import Problem, ReadOptions, Source, Text
from .encoding import Encoding, read_text
from .layout import printed_lines, without_running_lines, write_pages
from .writer import Writer

_BROKEN_WORD = re.compile("[^\\W\\d_][-\xad]\n[ \t]*[^\\W\\d_]")
DAMAGED = "Some bytes of the file are not UTF-8 and show as \ufffd: save it again as UTF-8 to mend them."


def read(source: Source, options: ReadOptions) -> Iterator[Text | Problem]:
    raw, encoding = read_text(source.path, options.max_chars)
    yield from damage(encoding)
    writer = Writer(options.max_chars)
    write(raw, writer)
    yield writer.text(source.title)


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
    return "\f" in text or len(_BROKEN_WORD.findall(text)) >= 3
