"""Files of many documents, one a row: which column or key holds the text, and how a row becomes a document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import NamedTuple

from selectolax.lexbor import LexborHTMLParser

from . import html_page, plain
from .clean import clean, clean_json, key_of, title_of
from .contract import JSON, Problem, ReadOptions, Source, Text, Unreadable
from .writer import Writer

LOOKED_AT = 50  # rows by which columns are picked

_CONTENT_NAMES = ("text", "content", "body", "document", "passage", "page_content", "answer", "article", "markdown",
                  "plain_text", "response", "output", "message", "description", "abstract", "transcript")  # fmt: skip
_TITLE_NAMES = ("title", "name", "question", "subject", "headline", "heading", "case_name")
_ID_NAMES = ("id", "_id", "doc_id", "document_id", "uuid", "key", "slug", "url")


class Row(NamedTuple):
    """One row. `where` says which ("row 12", "line 12"), `share` how much of the file ends with it."""

    where: str
    values: dict[str, JSON]
    share: float


class Picked(NamedTuple):
    """The columns that a row's text, title and identity are in; "" for none."""

    content: str
    title: str
    id: str


def documents(
    rows: Iterable[Row | Problem], source: Source, options: ReadOptions, content: str | None
) -> Iterator[Text | Problem]:
    """Every row as a document, or as what is wrong with it. `content` is the column or key that a person chose."""
    rows = iter(rows)
    head = list(islice(rows, LOOKED_AT))
    picked = pick([row.values for row in head if isinstance(row, Row)], content, options)
    seen: set[int] = set()
    for row in chain(head, rows):
        yield row if isinstance(row, Problem) else _document(row, picked, source, options, seen)


def pick(head: Sequence[Mapping[str, JSON]], content: str | None, options: ReadOptions) -> Picked:
    """The columns to use, from the first rows: those that a person named, else those with a usual name, else the longest text.

    Raises Unreadable if no column holds text.
    """
    names = list(dict.fromkeys(chain.from_iterable(head)))
    content = content or _usual(names, _CONTENT_NAMES, head) or _longest(names, head)
    if head and not content:
        raise Unreadable(f"No column or key holds text (there are {listed(names)}): add one named text.")
    for chosen in filter(None, (options.title_key, options.id_key)):
        if head and chosen not in names:
            raise Unreadable(f"There is no {_quoted(chosen)} (there are {listed(names)}): pick another.")
    others = [name for name in names if name != content]
    return Picked(
        content,
        options.title_key or _usual(others, _TITLE_NAMES, head),
        options.id_key or next((name for wanted in _ID_NAMES for name in others if name.lower() == wanted), ""),
    )


def listed(names: Sequence[str]) -> str:
    """Names as they can stand in a sentence, the first dozen of them."""
    shown = [title_of(name)[:40] for name in names[:12]]
    return ", ".join(shown) + (", …" if len(names) > 12 else "") if names else "none"


def _usual(names: Sequence[str], wanted: Sequence[str], head: Sequence[Mapping[str, JSON]]) -> str:
    """The first of the wanted names that is there and holds text in some row."""
    there = {name.strip().lower(): name for name in reversed(names)}
    found = (there[name] for name in wanted if name in there)
    return next((name for name in found if any(isinstance(row.get(name), str) and row[name] for row in head)), "")


def _longest(names: Sequence[str], head: Sequence[Mapping[str, JSON]]) -> str:
    def length(name: str) -> int:
        return sum(len(value) for row in head if isinstance(value := row.get(name), str))

    best = max(names, key=length, default="")
    return best if best and length(best) else ""


def _document(row: Row, picked: Picked, source: Source, options: ReadOptions, seen: set[int]) -> Text | Problem:
    wrong = _complaint(row.values, picked.content, options)
    if wrong:
        return Problem(row.where, wrong)
    try:
        text = _text(str(row.values[picked.content]), options)
    except Unreadable as error:
        return Problem(row.where, error.sentence)
    if not text.text:
        return Problem(row.where, f"Its {_quoted(picked.content)} shows no text: fill it in or leave the row out.")
    title = row.values.get(picked.title)
    others = {k: v for k, v in row.values.items() if k not in (picked.content, picked.title)}
    return Text(
        title=(title_of(str(title)) if isinstance(title, str | int) else "")
        or title_of(f"{source.title}, {row.where}"),
        text=text.text,
        key=_key(row, picked.id, seen),
        pages=text.pages,
        headings=text.headings,
        metadata={clean(k): clean_json(v) for k, v in others.items()} if options.keep_others else {},
        share=row.share,
        external_id=_own_id(row, picked.id),
    )


def _complaint(values: Mapping[str, JSON], content: str, options: ReadOptions) -> str:
    """What keeps the row from being a document, "" if nothing does."""
    if content not in values:
        return f"There is no {_quoted(content)} (there are {listed(list(values))}): add it or pick another."
    value = values[content]
    if value is None or (isinstance(value, str) and not value.strip()):
        return f"Its {_quoted(content)} is empty: fill it in or leave the row out."
    if not isinstance(value, str):
        kind = {list: "a list", dict: "an object", bool: "true or false"}.get(type(value), "a number")
        return f"Its {_quoted(content)} holds {kind} and no text: pick another."
    if len(value) > options.max_chars:
        return f"Its {_quoted(content)} is longer than {options.max_chars:,} characters: cut it into several rows."
    return ""


def _text(value: str, options: ReadOptions) -> Text:
    """A row's text laid out, as a page if it is HTML; empty if nothing of it can be seen."""
    writer = Writer(options.max_chars * 2)  # as the marks of lists and tables come on top
    if html_page.is_markup(value):
        html_page.write(LexborHTMLParser(clean(value)), writer)
    else:
        plain.write(value, writer)
    return writer.text("")


def _key(row: Row, name: str, seen: set[int]) -> str:
    """The row's own id, else its place in the file; an id that came before gets the place as well."""
    key = _own_id(row, name)
    if not key:
        key = row.where
    elif hash(key) in seen:
        key = key_of(f"{key} ({row.where})")
    seen.add(hash(key))
    return key


def _own_id(row: Row, name: str) -> str:
    value = row.values.get(name) if name else None
    return key_of(str(value)) if isinstance(value, str | int) else ""


def _quoted(name: str) -> str:
    return f"“{title_of(name)[:60]}”"
