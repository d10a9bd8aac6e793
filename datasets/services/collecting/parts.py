"""A document as its page shows it: one part at a time, cut into the blocks of its passages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from django.db.models.functions import Substr

from datasets.models import Document, Passage

PART = 50_000
"""Characters a part; parts begin where a passage begins, so that none is cut in two."""

Span = tuple[int, int]


@dataclass(frozen=True)
class Piece:
    """A stretch of text whose characters all share these properties.

    `shared`: the passage before has it too. `quoted`: it belongs to the stretch that was asked for, and `first` is set
    where that begins. `page` is set where a page begins.
    """

    text: str
    shared: bool = False
    quoted: bool = False
    first: bool = False
    page: int | None = None


@dataclass(frozen=True)
class Block:
    """The text from where `passage` begins to where the next one does; without a passage, text between passages."""

    pieces: tuple[Piece, ...]
    passage: Passage | None = None
    label: str = ""

    @property
    def page(self) -> int | None:
        """The page that begins where the block does."""
        return self.pieces[0].page


@dataclass(frozen=True)
class Part:
    number: int
    total: int
    start: int
    end: int
    blocks: tuple[Block, ...]


def read_part(document: Document, *, number: int | None = None, span: Span | None = None) -> Part:
    """Part `number` (from 1), or the one in which `span` begins. Out of range: the nearest there is.

    `document.text` is not read: the database cuts the part out.
    """
    total = max(1, -(-document.characters // PART))
    number = min(max(1, number or _number_at(document, span[0] if span else 0)), total)
    start, end = _cut(document, (number - 1) * PART), _cut(document, number * PART)
    text = Document.objects.values_list(Substr("text", start + 1, end - start), flat=True).get(pk=document.pk)
    passages = document.passages.filter(start__lt=end, end__gt=start).order_by("index").defer("text")
    blocks = _blocks(text, start, list(passages), document.pages, span or (0, 0))
    return Part(number, total, start, end, tuple(blocks))


def _number_at(document: Document, offset: int) -> int:
    number = min(offset, document.characters) // PART + 1
    return number - 1 if offset < _cut(document, (number - 1) * PART) else number


def _cut(document: Document, offset: int) -> int:
    """Where the first passage at or after `offset` begins; `offset` itself if there is none."""
    if offset <= 0 or offset >= document.characters:
        return min(max(0, offset), document.characters)
    starts = document.passages.filter(start__gte=offset).order_by("start").values_list("start", flat=True)
    return min(starts.first() or offset, document.characters)


def _blocks(text: str, begin: int, passages: Sequence[Passage], pages: Sequence[int], span: Span) -> Iterator[Block]:
    """The blocks that fill `text`, which stands at offset `begin` of its document, without a gap."""
    end = begin + len(text)
    page_starts = {offset: number for number, offset in enumerate(pages, 1) if begin <= offset < end}
    cursor, shared_until, heading = begin, begin, ""
    quote = max(span[0], begin)

    def pieces(start: int, stop: int) -> tuple[Piece, ...]:
        inner = {cut for cut in (shared_until, *span, *page_starts) if start < cut < stop}
        return tuple(
            Piece(
                text[a - begin : b - begin],
                shared=a < shared_until,
                quoted=span[0] <= a < span[1],
                first=a == quote,
                page=page_starts.get(a),
            )
            for a, b in pairwise(sorted({start, stop} | inner))
        )

    for passage, following in zip(passages, [*(passage.start for passage in passages[1:]), end], strict=False):
        if cursor < passage.start:
            yield Block(pieces(cursor, passage.start))
            cursor = passage.start
        stop = min(passage.end, end, following)
        if cursor < stop:
            yield Block(pieces(cursor, stop), passage, _label(passage, heading))
            cursor = stop
        shared_until, heading = passage.end, passage.heading
    if cursor < end:
        yield Block(pieces(cursor, end))


def _label(passage: Passage, heading: str) -> str:
    """The passage's number from 1, its page, and its heading where that changes."""
    page = f" · p. {passage.page}" if passage.page else ""
    title = f" · {passage.heading[:60]}" if passage.heading and passage.heading != heading else ""
    return f"{passage.index + 1}{page}{title}"
