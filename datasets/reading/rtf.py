"""RTF: its words, with the cells of tables between bars."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, pairwise

from striprtf.striprtf import rtf_to_text

from . import plain
from .clean import clean, tidy, title_of
from .contract import Problem, ReadOptions, Source, Text, Unreadable

BROKEN = "The RTF is broken: open it in a word processor, save it again and upload that."
CUT_OFF = "The RTF is cut off, and what follows this is missing: save it again in a word processor and upload that."
MAX_BYTES = 64 * 2**20

_CODE_PAGE = re.compile(rb"\\ansicpg(\d{3,5})")
_TITLE = re.compile(r"\{\\title\s+([^{}]{1,2000})\}")


def read(source: Source, options: ReadOptions) -> Iterator[Text | Problem]:
    data = source.path.read_bytes()
    if len(data) > MAX_BYTES:
        raise Unreadable(
            f"An RTF may have {MAX_BYTES // 2**20} MB: save it as DOCX, which keeps pictures apart, or cut it."
        )
    raw = _decoded(data)
    try:
        text = _paragraphs(tidy(clean(rtf_to_text(raw, errors="replace"))))
        title = _TITLE.search(raw[:100_000])
        name = title_of(rtf_to_text("{\\rtf1 " + title[1] + "}", errors="replace")) if title else ""
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        raise Unreadable(BROKEN) from error
    if len(text) > options.max_chars:
        raise Unreadable(f"The text is longer than {options.max_chars:,} characters: cut it into several files.")
    if not raw.rstrip("\0\x1a \r\n").endswith("}"):
        yield Problem("the end", CUT_OFF)
    document = plain.with_headings(Text(source.title, text))
    yield replace(document, title=name) if name else document


def _paragraphs(text: str) -> str:
    """A line is a paragraph in RTF, and gets a blank line after it; the rows of a table stay together."""
    lines = [line for line in text.split("\n") if line.strip()]
    between = ["\n" if row.endswith("|") and after.endswith("|") else "\n\n" for row, after in pairwise(lines)]
    return "".join(chain.from_iterable(zip(lines, [*between, ""], strict=True)))


def _decoded(data: bytes) -> str:
    """RTF is ASCII by rule; where a writer put other bytes, they are in the code page that it names."""
    named = _CODE_PAGE.search(data[:4096])
    try:
        return data.decode(f"cp{named[1].decode()}" if named else "cp1252", "replace")
    except LookupError:
        return data.decode("cp1252", "replace")
