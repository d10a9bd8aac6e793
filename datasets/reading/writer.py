"""Puts a document together block by block, keeping the offsets of its headings and pages."""

from __future__ import annotations

from collections.abc import Sequence

from .contract import JSON, Heading, Text, Unreadable

MAX_LEVEL = 6


class Writer:
    """Collects blocks of text; `max_chars` bounds their sum. A block is cleaned by whoever adds it."""

    def __init__(self, max_chars: int) -> None:
        self._parts: list[str] = []
        self.length = 0
        self._limit = max_chars
        self.headings: list[Heading] = []
        self.pages: list[int] = []

    def add(self, block: str, separator: str = "\n\n") -> None:
        """Adds a block after `separator`; a blank one adds nothing. Raises Unreadable past the limit."""
        if not block or block.isspace():
            return
        if self._parts:
            self._put(separator)
        self._put(block)

    def heading(self, level: int, text: str) -> None:
        """Adds a heading in Markdown's way, so that it is seen as one wherever the text goes."""
        if not text:
            return
        level = min(max(level, 1), MAX_LEVEL)
        self.add(f"{'#' * level} {text}")
        self.headings.append(Heading(self.length - len(text) - level - 1, level, text))

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Adds a Markdown table; one column becomes paragraphs, and rows without any text are left out."""
        rows = [row for row in rows if any(row)]
        width = max(map(len, rows), default=0)
        if width < 2:
            for row in rows:
                self.add(row[0])
            return
        lines = [_table_row(row, width) for row in rows]
        lines.insert(1, _table_row(["---"] * width, width))
        self.add("\n".join(lines))

    def page(self, within: int = 0, separator: str = "\n\n") -> None:
        """A page begins `within` characters into the block that is added next, after `separator`."""
        self.pages.append(self.length + (len(separator) if self._parts else 0) + within)

    def text(self, title: str, metadata: dict[str, JSON] | None = None) -> Text:
        """The document. A page that brought nothing begins where the next one does, within the text."""
        text = "".join(self._parts)
        pages = tuple(min(start, len(text)) for start in self.pages)
        return Text(title=title, text=text, pages=pages, headings=tuple(self.headings), metadata=metadata or {})

    def _put(self, part: str) -> None:
        self.length += len(part)
        if self.length > self._limit:
            raise Unreadable(f"The text is longer than {self._limit:,} characters: cut it into several files.")
        self._parts.append(part)


def _table_row(cells: Sequence[str], width: int) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return "| " + " | ".join(escaped + [""] * (width - len(cells))) + " |"
