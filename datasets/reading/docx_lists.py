"""The marks of list items in a DOCX, which are not in its text: they are counted from the numbering definitions."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import NamedTuple

from docx.document import Document
from docx.oxml.ns import qn
from docx.text.paragraph import Paragraph
from lxml import etree

_PLACE = re.compile(r"%([1-9])")
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
          (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
MAX_DEPTH = 8


class Level(NamedTuple):
    """How one depth of a list is numbered. `pattern` holds %1 to %9 where the counts of the depths go."""

    form: str
    pattern: str
    start: int


class Numbering:
    """Counts the items of every list of one document, in the order in which it is asked."""

    def __init__(self, document: Document) -> None:
        self._levels = _levels(document)
        self._counts: defaultdict[str, list[int]] = defaultdict(list)

    def marker(self, paragraph: Paragraph) -> str:
        """What stands before the item, indented by depth: "- ", "3. ", "  b) ". "" for a paragraph that is no item."""
        place = _place(paragraph)
        if place is None:
            return ""
        number, depth = place
        levels = self._levels.get(number, {})
        level = levels.get(depth)
        indent = "  " * depth
        if level is None or level.form in ("bullet", "none"):
            return f"{indent}- "
        counts = self._count(number, depth, levels)
        text = _PLACE.sub(lambda match: _written(counts, int(match[1]) - 1, levels), level.pattern).strip()
        return f"{indent}{text} " if text else f"{indent}- "

    def _count(self, number: str, depth: int, levels: dict[int, Level]) -> list[int]:
        counts = self._counts[number]
        while len(counts) <= depth:
            level = levels.get(len(counts))
            counts.append((level.start if level else 1) - 1)
        counts[depth] += 1
        del counts[depth + 1 :]
        return counts


def _place(paragraph: Paragraph) -> tuple[str, int] | None:
    """The list and the depth that a paragraph stands at, by itself or by its style."""
    holder = paragraph._p.find(f"{qn('w:pPr')}/{qn('w:numPr')}")
    style = paragraph.style
    for _ in range(MAX_DEPTH):
        if holder is not None or style is None:
            break
        holder = style.element.find(f"{qn('w:pPr')}/{qn('w:numPr')}")
        style = style.base_style
    if holder is None:
        return None
    number, depth = _value(holder, "w:numId"), _value(holder, "w:ilvl") or "0"
    if number in ("", "0"):
        return None
    return number, min(int(depth), MAX_DEPTH) if depth.isdecimal() else 0


def _levels(document: Document) -> dict[str, dict[int, Level]]:
    """The levels of every list, by list number and depth."""
    try:
        root = document.part.numbering_part.element
    except (KeyError, NotImplementedError):
        return {}
    abstract = {item.get(qn("w:abstractNumId")): _read_levels(item) for item in root.iterfind(qn("w:abstractNum"))}
    return {
        item.get(qn("w:numId"), ""): abstract.get(_value(item, "w:abstractNumId"), {})
        for item in root.iterfind(qn("w:num"))
    }


def _read_levels(item: etree._Element) -> dict[int, Level]:
    found = {}
    for level in item.iterfind(qn("w:lvl")):
        depth, start = level.get(qn("w:ilvl"), ""), _value(level, "w:start")
        if depth.isdecimal():
            first = int(start) if start.isdecimal() and len(start) < 6 else 1
            found[int(depth)] = Level(_value(level, "w:numFmt") or "decimal", _value(level, "w:lvlText"), first)
    return found


def _value(holder: etree._Element, tag: str) -> str:
    child = holder.find(qn(tag))
    return child.get(qn("w:val"), "") if child is not None else ""


def _written(counts: list[int], depth: int, levels: dict[int, Level]) -> str:
    if depth >= len(counts):
        return ""
    count, form = counts[depth], levels[depth].form if depth in levels else "decimal"
    if form in ("lowerLetter", "upperLetter"):
        letter = chr(ord("a") + (count - 1) % 26) * ((count - 1) // 26 + 1)
        return letter.upper() if form == "upperLetter" else letter
    if form in ("lowerRoman", "upperRoman"):
        return _roman(count).upper() if form == "upperRoman" else _roman(count)
    return str(count)


def _roman(count: int) -> str:
    written = ""
    for value, sign in _ROMAN:
        written += sign * (count // value)
        count %= value
    return written
