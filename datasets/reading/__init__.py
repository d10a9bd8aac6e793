"""Files made readable: what a document says, with its pages and headings, and the passages that it is cut into.

    for found in read(path, "handbook.pdf", ReadOptions()):
        if isinstance(found, Text):
            spans = chunk(found, size=1200, overlap=150)

Pure: no Django. To add a format, write its module and name it in FORMATS and in `sniff.SUFFIXES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from . import sandbox
from .chunking import Span, chunk
from .clean import title_of_file
from .contract import Heading, Problem, ReadOptions, Source, Text, Unreadable
from .sniff import SUFFIXES, recognise

__all__ = [
    "FORMATS", "SUFFIXES", "Heading", "Problem", "ReadOptions", "Span", "Text", "Unreadable",
    "chunk", "peek_columns", "read", "read_here",
]  # fmt: skip


class Format(NamedTuple):
    """A kind of file, and the module here that reads it: `read(source, options)` gives its documents and problems.

    A module is loaded when a file needs it: the process that reads a PDF starts without the libraries for the others.
    `has_rows` says that each row is a document; then the module has `columns(source)`, the names a person picks from.
    """

    module: str
    has_rows: bool = False

    @property
    def read(self) -> Callable[[Source, ReadOptions], Iterator[Text | Problem]]:
        return import_module(f"{__package__}.{self.module}").read

    @property
    def columns(self) -> Callable[[Source], list[str]]:
        return import_module(f"{__package__}.{self.module}").columns


FORMATS: dict[str, Format] = {
    "pdf": Format("pdf"),
    "docx": Format("docx_page"),
    "html": Format("html_page"),
    "markdown": Format("markdown"),
    "text": Format("plain"),
    "rtf": Format("rtf"),
    "csv": Format("table", has_rows=True),
    "tsv": Format("table", has_rows=True),
    "jsonl": Format("jsonl", has_rows=True),
}


def read(path: Path, name: str, options: ReadOptions | None = None) -> Iterator[Text | Problem]:
    """The documents of a file as they are read, and what had to be left out of it. The file is never held whole.

    `name` is the uploader's name for it: its ending must agree with the content; it is never used as a path.
    Raises Unreadable, at any step of the iteration, if the file as a whole cannot be used; what came before is then
    to be thrown away too. All parsing happens in a process of its own, bounded in memory and time.
    """
    return sandbox.stream(path, name, options or ReadOptions())


def peek_columns(path: Path, name: str) -> list[str]:
    """The columns of a CSV or TSV file or the keys of a JSONL file, to pick from; [] for any other format.

    Reads the beginning of the file. Raises Unreadable as `read` does.
    """
    kind = recognise(path, name, ReadOptions().max_bytes)
    return FORMATS[kind].columns(Source(path, kind, name)) if FORMATS[kind].has_rows else []


def read_here(path: Path, name: str, options: ReadOptions | None = None) -> Iterator[Text | Problem]:
    """As `read`, in this process: for files that are trusted, as nothing bounds memory and time."""
    options = options or ReadOptions()
    kind = recognise(path, name, options.max_bytes)
    first: Problem | None = None
    empty = True
    for found in FORMATS[kind].read(Source(path, kind, title_of_file(name)), options):
        if isinstance(found, Problem):
            first = first or found
        elif not found.text.strip():
            continue
        else:
            empty = False
        yield found
    if empty:
        raise Unreadable(_nothing(FORMATS[kind], first))


def _nothing(kind: Format, first: Problem | None) -> str:
    if first is None:
        what = "rows" if kind.has_rows else "text"
        return f"There are no {what} in the file: check that it was saved, and upload it again."
    return f"Nothing in the file could be read. {first.where.capitalize()}: {first.sentence}"
