"""JSONL: every line is an object, every object a document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import TextIO

from . import plain, rows
from .clean import one_line
from .contract import Problem, ReadOptions, Source, Text, Unreadable
from .encoding import detect, open_text
from .rows import Row

ONE_ARRAY = "The file is one JSON list: write each of its objects on a line of its own and upload that."
MANY_LINES = "The file is JSON written over many lines: write each object on one line and upload that."
_PEEKED = 20
_PEEKED_CHARS = 2**20


def read(source: Source, options: ReadOptions) -> Iterator[Text | Problem]:
    encoding = detect(source.path)
    yield from plain.damage(encoding)
    size = max(source.path.stat().st_size, 1)
    with open_text(source.path, encoding, newline="\n") as file:
        found = _rows(file, size, 2 * options.max_chars)
        yield from rows.documents(found, source, options, options.content_key)


def columns(source: Source) -> list[str]:
    """The keys of the first objects, in the order in which they come."""
    names: dict[str, None] = {}
    with open_text(source.path, detect(source.path), newline="\n") as file:
        for row in _rows(file, 1, _PEEKED_CHARS):
            if isinstance(row, Row):
                names |= dict.fromkeys(row.values)
            if row.where == f"line {_PEEKED}":
                break
    return list(names)


def _rows(file: TextIO, size: int, limit: int) -> Iterator[Row | Problem]:
    for number in count(1):
        line = file.readline(limit)
        if not line:
            return
        where = f"line {number}"
        if len(line) == limit and not line.endswith("\n"):
            _skip_line(file, limit)
            yield Problem(where, f"It is longer than {limit:,} characters: cut it into several objects.")
        elif line.strip("\ufeff\0 \t\r\n"):
            yield _parsed(line, where, min(file.buffer.tell() / size, 1.0))


def _skip_line(file: TextIO, limit: int) -> None:
    while (rest := file.readline(limit)) and not rest.endswith("\n"):
        pass


def _parsed(line: str, where: str, share: float) -> Row | Problem:
    try:
        value = json.loads(line.strip("\ufeff\0 \t\r\n").replace("\0", ""))
    except (ValueError, RecursionError) as error:
        if where == "line 1":
            _refuse_whole(line)
        return Problem(where, _said(error))
    if isinstance(value, dict):
        return Row(where, value, share)
    if isinstance(value, list) and where == "line 1":
        raise Unreadable(ONE_ARRAY)
    return Problem(where, 'It holds JSON but no object: write it as {"text": …}.')


def _refuse_whole(line: str) -> None:
    """Tells JSON that is laid out over lines from a line that is only wrong."""
    start = line.strip("\ufeff\0 \t\r\n")
    if start.startswith("["):
        raise Unreadable(ONE_ARRAY)
    if start == "{":
        raise Unreadable(MANY_LINES)


def _said(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return (
            f"It is not JSON ({one_line(error.msg).rstrip('.')} at character {error.pos + 1}): mend it or leave it out."
        )
    if isinstance(error, RecursionError):
        return "Its JSON is nested too deeply: flatten it or leave it out."
    return "It holds a number that is too long: write it as text or leave it out."
