"""CSV and TSV: the first row names the columns, every other one is a document."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice, zip_longest
from typing import TextIO

from . import plain, rows
from .clean import one_line
from .contract import JSON, Problem, ReadOptions, Source, Text, Unreadable
from .encoding import detect, open_text
from .rows import Row, listed

_DELIMITERS = ",;\t|"
_SAMPLE = 2**16
_SIGNS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
MAX_COLUMNS = 1_000
BAD_QUOTES = "Its quotes do not match: put quotes around the whole cell and double those that are inside."
TOO_WIDE = "It has {cells} cells, and there are {columns} columns: put quotes around cells that hold a {sign}."


def read(source: Source, options: ReadOptions) -> Iterator[Text | Problem]:
    encoding = detect(source.path)
    yield from plain.damage(encoding)
    csv.field_size_limit(options.max_chars)
    with open_text(source.path, encoding) as file:
        delimiter = _delimiter(source, file.read(_SAMPLE))
        file.seek(0)
        yield from rows.documents(_rows(file, source, delimiter, options), source, options, options.column)


def columns(source: Source) -> list[str]:
    """The names in the first row."""
    with open_text(source.path, detect(source.path)) as file:
        sample = file.read(_SAMPLE)
    return _header(csv.reader(sample.splitlines(keepends=True), delimiter=_delimiter(source, sample)))


def _delimiter(source: Source, sample: str) -> str:
    return "\t" if source.format == "tsv" else guess_delimiter(sample)


def guess_delimiter(sample: str) -> str:
    """The sign that cuts most of the first rows into the same number of cells, two or more; a comma if none does."""

    lines = sample.splitlines(keepends=True)[:100]

    def agreement(delimiter: str) -> int:
        widths = Counter(len(row) for row in islice(csv.reader(lines, delimiter=delimiter), 50) if row)
        width, count = max(widths.items(), key=lambda item: item[1], default=(0, 0))
        return count * (width > 1)

    try:
        return max(_DELIMITERS, key=agreement)
    except csv.Error:
        return ","


def _rows(file: TextIO, source: Source, delimiter: str, options: ReadOptions) -> Iterator[Row | Problem]:
    reader = csv.reader(_lines(file, options.max_chars), delimiter=delimiter, strict=True)
    names = _header(reader)
    for chosen in filter(None, (options.column, options.title_key, options.id_key)):
        if chosen not in names:
            raise Unreadable(f"There is no column “{one_line(chosen)}” (there are {listed(names)}): pick another.")
    size = max(source.path.stat().st_size, 1)
    for number in count(2):
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield Problem(f"row {number}", BAD_QUOTES)
            continue
        if any(cell.strip() for cell in cells[len(names) :]):
            yield Problem(
                f"row {number}", TOO_WIDE.format(cells=len(cells), columns=len(names), sign=_SIGNS[delimiter])
            )
        elif any(cell.strip() for cell in cells):
            values: dict[str, JSON] = dict(zip_longest(names, cells[: len(names)], fillvalue=""))
            yield Row(f"row {number}", values, min(file.buffer.tell() / size, 1.0))


def _lines(file: TextIO, limit: int) -> Iterator[str]:
    while line := file.readline(limit):
        if len(line) == limit and not line.endswith(("\n", "\r")):
            raise Unreadable(f"A line of the table is longer than {limit:,} characters: save the sheet as CSV again.")
        yield line.replace("\0", "")


def _header(reader: Iterator[list[str]]) -> list[str]:
    """The names of the columns. Raises Unreadable if the first row is no header."""
    try:
        names = _named(next(reader, []))
    except csv.Error as error:
        raise Unreadable("The first row, which names the columns, has quotes that do not match: mend it.") from error
    if not names:
        raise Unreadable("The first row names no columns: put a header such as title,text above the rows.")
    return names


def _named(cells: list[str]) -> list[str]:
    """Column names, each of them once: nameless ones get their number, a repeated one gets it too."""
    names: list[str] = []
    while cells and not cells[-1].strip():
        cells = cells[:-1]
    for number, cell in enumerate(cells[:MAX_COLUMNS], 1):
        name = one_line(cell) or f"column {number}"
        names.append(name if name not in names else f"{name} ({number})")
    return names
