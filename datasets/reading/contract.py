"""What readers take and give: plain frozen data, so that a file can be read in another process and in pieces."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

MAX_TITLE = 300
MAX_KEY = 200


class Unreadable(Exception):
    """Nothing of the file can be used. The message is one sentence for the person who uploaded it, and ends with a mend."""

    @property
    def sentence(self) -> str:
        return str(self)


class Heading(NamedTuple):
    """A heading at `offset`, the character at which its line begins. `level` is 1 for the widest."""

    offset: int
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """One readable document. Every offset counts characters (code points) of `text`.

    `key` is stable inside the file: "" for a file that is one document, the row's own id or "row 12" otherwise.
    `external_id` is the row's own id, "" if it has none.
    `pages` holds the offset at which each page begins, and is empty where there are no pages.
    `share` says how much of the file has been read once this document has arrived, 0 to 1.
    """

    title: str
    text: str
    key: str = ""
    pages: tuple[int, ...] = ()
    headings: tuple[Heading, ...] = ()
    metadata: dict[str, JSON] = field(default_factory=dict)
    share: float = 1.0
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of the file that was left out, while the rest goes on. `where` is "row 12" or "pages 3, 7-9"."""

    where: str
    sentence: str


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a person chose for a file, and the bounds that hold for everybody's.

    `column` names the column of a CSV or TSV file and `content_key` the key of a JSONL object that holds the text; both
    are guessed when None, and so are `title_key` and `id_key`, which serve both kinds. What the other columns or keys
    hold becomes the document's metadata if `keep_others`. `max_chars` bounds the text of one document (also one row),
    `seconds` the wait for the next document, `max_memory` the bytes that reading may use.
    """

    column: str | None = None
    content_key: str | None = None
    title_key: str | None = None
    id_key: str | None = None
    keep_others: bool = True
    max_bytes: int = 512 * 2**20
    max_chars: int = 10_000_000
    max_pages: int = 5_000
    max_memory: int = 2 * 2**30
    seconds: float = 120.0


class Source(NamedTuple):
    """A file that was recognised as `format`. `title` is what a document is called when it does not say so itself."""

    path: Path
    format: str
    title: str
