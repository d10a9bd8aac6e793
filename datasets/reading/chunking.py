"""A document cut into passages: along its headings first, then by paragraphs, sentences and words."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from semantic_text_splitter import TextSplitter

from .contract import Heading, Text

MAX_HEADING = 300
_WORD = re.compile(r"\w")
_BETWEEN = " › "
# The splitter looks at all of the text that it is given again and again, so it is given a window of so many passages.
_WINDOW = 8


@dataclass(frozen=True, slots=True)
class Span:
    """A passage: `text.text[start:end]`. `page` counts from 1; `heading` is the path of headings that it stands under."""

    start: int
    end: int
    page: int | None
    heading: str


class Section(NamedTuple):
    """What stands under one heading, the heading's own lines included, which end at `body`."""

    start: int
    body: int
    end: int
    path: str


def chunk(text: Text, *, size: int = 1200, overlap: int = 150) -> list[Span]:
    """The passages of a document, in order: at most `size` characters each.

    A passage begins with whole sentences of the one before, as many as fit into `overlap` characters. It stays under one
    heading (only sections of less than a third of `size` are put together), so nothing is shared across headings. White
    space at the ends of a passage is left out; nothing else is.
    """
    if size < 1 or not 0 <= overlap < size:
        raise ValueError(f"A passage of {size} characters cannot share {overlap} with the one before.")
    return [
        Span(start, end, bisect_right(text.pages, start) or 1 if text.pages else None, section.path)
        for section in _grouped(_sections(text), size)
        for start, end in _cut(text.text, section, size, overlap)
    ]


def _sections(text: Text) -> Iterator[Section]:
    """The text cut at its headings; a heading with nothing under it belongs to the section of the next."""
    path: list[Heading] = []
    starts = [heading.offset for heading in text.headings]
    start = body = 0
    for heading, end in zip([None, *text.headings], [*starts, len(text.text)], strict=True):
        if heading is not None:
            path = [*(above for above in path if above.level < heading.level), heading]
            body = _line_end(text.text, heading.offset, end)
        if end == len(text.text) or _WORD.search(text.text, body, end):
            yield Section(start, body, end, _path(path))
            start = end


def _line_end(text: str, start: int, end: int) -> int:
    found = text.find("\n", start, end)
    return end if found < 0 else found


def _path(headings: list[Heading]) -> str:
    """The headings from the widest to the narrowest; a path that is too long loses its beginning."""
    path = _BETWEEN.join(heading.text for heading in headings)
    return path if len(path) <= MAX_HEADING else "…" + path[1 - MAX_HEADING :]


def _grouped(sections: Iterator[Section], size: int) -> Iterator[Section]:
    """Sections of less than a third of `size` together with what follows, where both fit in one passage."""
    group = next(sections)
    for section in sections:
        if group.end - group.start < size // 3 and section.end - group.start <= size:
            group = group._replace(end=section.end)
        else:
            yield group
            group = section
    yield group


def _cut(text: str, section: Section, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """The passages of one section. The first keeps the heading, for which every one leaves room."""
    start, end = _stripped(text, section.start, section.end)
    if end - start <= size:
        if start < end:
            yield start, end
        return
    head = section.body - start if 0 < section.body - start <= size // 2 else 0
    room = size - head
    passages = _windows(text, start + head, end, room, min(overlap, room // 2))
    if head:
        first = next(passages)
        if first[1] - start > size:
            yield _stripped(text, start, start + head)
            yield first
        else:
            yield start, first[1]
    yield from passages


def _windows(text: str, start: int, end: int, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """The passages of a stretch of text of any length, in time that grows with its length."""
    splitter = TextSplitter(size, overlap=overlap)
    reached = start
    while start < end:
        stop = min(end, start + _WINDOW * size)
        found = [(start + at, start + at + len(part)) for at, part in splitter.chunk_indices(text[start:stop])]
        if stop < end and len(found) > 1:
            stop = found.pop()[0]  # its end was the window's, not its own: the next window begins with it
        for passage in found:
            if passage[1] > reached:  # the splitter may end with a passage that is overlap alone
                reached = passage[1]
                yield passage
        start = stop


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())
