"""Markdown: kept as written; its headings are found by a Markdown parser, so none is seen inside code."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from itertools import accumulate, pairwise

import yaml
from markdown_it import MarkdownIt

from . import plain
from .clean import clean, clean_json, one_line, title_of
from .contract import JSON, Heading, Problem, ReadOptions, Source, Text
from .encoding import read_text

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.{0,10000}?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)


def read(source: Source, options: ReadOptions) -> Iterator[Text | Problem]:
    raw, encoding = read_text(source.path, options.max_chars)
    yield from plain.damage(encoding)
    text = clean(raw).replace("\f", "\n").replace("\xad", "")
    metadata: dict[str, JSON] = {}
    if front := _FRONT_MATTER.match(text):
        metadata = _scalars(front[1])
        text = text[front.end() :]
    text = text.strip("\n")
    headings = find_headings(text)
    own = str(metadata.pop("title", "")) or next((heading.text for heading in headings if heading.level == 1), "")
    yield Text(title_of(own) or source.title, text, headings=headings, metadata=metadata)


def find_headings(text: str) -> tuple[Heading, ...]:
    """The headings of a Markdown text whose lines end in \\n, outside lists, quotes and code."""
    parser = MarkdownIt("commonmark")
    blocks = MarkdownIt("commonmark")
    blocks.core.ruler.enableOnly(["normalize", "block"])
    starts = list(accumulate((len(line) + 1 for line in text.split("\n")), initial=0))
    tokens = blocks.parse(text)
    found = []
    for token, inside in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map and inside.content.strip():
            found.append(Heading(starts[token.map[0]], int(token.tag[1:]), _shown(parser, inside.content)))
    return tuple(found)


def _shown(parser: MarkdownIt, content: str) -> str:
    """A heading's words without the marks for links, emphasis and code."""
    children = parser.parseInline(content[:1000])[0].children or []
    words = "".join(child.content for child in children if child.type in ("text", "code_inline"))
    return one_line(words) or one_line(content)


def _scalars(front: str) -> dict[str, JSON]:
    """The plain values of a front matter; one that is not YAML says nothing."""
    try:
        values = yaml.safe_load(front)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    if not isinstance(values, dict):
        return {}
    kept = {key: value for key, value in values.items() if isinstance(value, str | int | float | bool | datetime.date)}
    return {one_line(str(key)): clean_json(value) for key, value in kept.items()}
