"""Typeset lines made running text: headers and footers go, broken words are joined, lines become paragraphs.

The same rules serve a PDF (coordinates in points) and text that was printed with page breaks (columns and rows), because
both come down to lines with a left and a right edge and a distance from the line above.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from statistics import median

from .writer import Writer

_DIGITS = re.compile(r"\d+")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_BULLET = re.compile("^[•●▪◦‣∙·\uf0b7\uf0a7]\\s*")
_NUMBER = re.compile(r"(?:[–-]|\d{1,3}[.)]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{2,5})\))\s")
_BROKEN = re.compile(r"([^\W\d_]+)[-\xad\ufffe]$")
_SOFT = ("\xad", "\ufffe")  # a hyphen that only a line's end shows, and pdfium's sign for a hyphen there
_HYPHEN = ("-", *_SOFT)
_TIGHT = (*_HYPHEN, "—", "–")  # what no space follows, should a line end there
_RULE = re.compile(r"[-—–_=*.\s]{3,}")
_ENDS_SENTENCE = re.compile(r"[.!?:;。！？][\"'”’)\]]*\d*$")
_ENDS_CLAUSE = (":", ";", "; and", "; or")
_TAIL = 60  # characters of a text that say how it ends: nothing below looks at a whole paragraph for that
_ENDINGS = frozenset(["ing", "ings", "ed", "ly", "tion", "tions", "ment", "ments", "ness", "able"])
_EDGE = 4  # lines at the top and at the foot of a page among which headers and footers are looked for


@dataclass(slots=True)
class Line:
    """One printed line. `drop` is the distance down from the line above, `em` the width of an average character."""

    text: str
    left: float
    right: float
    drop: float
    em: float = 1.0
    size: float = 1.0
    bold: bool = False


@dataclass(slots=True)
class Paragraph:
    """Lines that belong together. `kept` says of each but the first whether the break before it was meant; `opens` holds
    the index of a line once for each page that begins there.
    """

    lines: list[Line]
    kept: list[bool]
    opens: list[int] = field(default_factory=list)


def printed_lines(page: str) -> list[Line]:
    """The lines of a page of plain text: edges in columns, drop in rows."""
    lines, drop = [], 1
    for raw in page.split("\n"):
        raw = raw.expandtabs().rstrip()
        text = raw.lstrip()
        if text:
            lines.append(Line(" ".join(text.split()), len(raw) - len(text), len(raw), drop))
        drop = 1 if text else drop + 1
    return lines


def without_running_lines(pages: list[list[Line]]) -> list[list[Line]]:
    """The pages without the headers, footers and page numbers that repeat from page to page.

    A shape that is common elsewhere too is the row of a table, and what is larger than the body is a heading: both stay.
    """
    large = 1.15 * median(line.size for page in pages for line in page) if any(pages) else 0.0
    at_edge = Counter(shape for page in pages for shape in {_shape(line) for line in _edges(page) if line.size < large})
    enough = max(2, min(3, len(pages) // 5))
    often = {shape for shape, count in at_edge.items() if count >= enough}
    in_all = Counter(shape for page in pages for line in page if (shape := _shape(line)) in often)
    running = {shape for shape in often if in_all[shape] <= 2 * at_edge[shape]}
    return [_trimmed(page, running) for page in pages]


def write_pages(pages: list[list[Line]], writer: Writer, level: Callable[[str, Sequence[Line]], int]) -> None:
    """Writes the pages as running text. `level` says which paragraphs are headings, 0 for none."""
    words = Words(line.text for page in pages for line in page)
    in_list = False
    for paragraph in _over_pages([paragraphs(page) for page in pages]):
        text, starts = words.join([line.text for line in paragraph.lines], paragraph.kept)
        depth = level(text, paragraph.lines)
        is_item = not depth and bool(_BULLET.match(text) or _NUMBER.match(text))
        between = "\n" if is_item and in_list else "\n\n"
        for line in paragraph.opens:
            writer.page((0 if depth else starts[line]), between)
        if depth:
            writer.heading(depth, " ".join(text.split()))
        else:
            writer.add(text, between)
        in_list = is_item


def paragraphs(lines: list[Line]) -> list[Paragraph]:
    """The lines of one page as paragraphs."""
    if not lines:
        return []
    margin = sorted(line.right for line in lines)[len(lines) * 3 // 4]
    step = median(line.drop for line in lines[1:]) if len(lines) > 1 else 1.0
    groups: list[list[Line]] = [[lines[0]]]
    for line in lines[1:]:
        if _begins_paragraph(line, groups[-1], step, margin):
            groups.append([line])
        else:
            groups[-1].append(line)
    return [Paragraph(group, [_would_have_fitted(b, a, margin) for a, b in pairwise(group)]) for group in groups]


class Words:
    """The words of one document, by which a hyphen at the end of a line is judged."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._known: set[str] = set()
        broken = False
        for line in lines:
            half = _broken(line)
            words = _WORD.findall(line[: -len(half) - 1] if half else line)
            self._known.update(map(str.lower, words[1:] if broken else words))
            broken = bool(half)

    def join(self, lines: Sequence[str], kept: Sequence[bool]) -> tuple[str, list[int]]:
        """The lines as one text with the words mended, and the offset in it at which each of them begins."""
        pieces = [_BULLET.sub("• ", lines[0])]
        for (before, after), stays in zip(pairwise(lines), kept, strict=True):
            cut, between = (0, "\n") if stays else self._seam(before, after)
            pieces[-1] = pieces[-1][: len(pieces[-1]) - cut]
            pieces += between, after
        pieces = [piece.replace("\xad", "").replace("\ufffe", "-") for piece in pieces]
        offsets = list(accumulate(map(len, pieces), initial=0))
        return "".join(pieces), offsets[:-1:2]

    def _seam(self, before: str, after: str) -> tuple[int, str]:
        """How many characters go from the end of `before`, and what stands between it and `after`."""
        half = _broken(before)
        if half and (other := _WORD.match(after)):
            soft = before.endswith("\xad")
            return 1, "-" if not soft and self._is_compound(half, other[0]) else ""
        return 0, "" if before.endswith(_TIGHT) and not before.endswith(" -") else " "

    def _is_compound(self, left: str, right: str) -> bool:
        """The document has it with its hyphen, or has both halves of it and never the word that they would make."""
        first = right.split("-")[0]
        if (left + first).lower() in self._known or first.lower() in _ENDINGS:
            return False
        if (first[0].isupper() and not left.isupper()) or f"{left}-{first}".lower() in self._known:
            return True
        is_name = left[0].isupper() and len(left) > 4
        return left.lower() in self._known and (is_name or first in self._known)


def _broken(line: str) -> str:
    """The half of a word that a hyphen ends, at the end of a line; "" if there is none."""
    half = _BROKEN.search(line[-_TAIL:]) if line.endswith(_HYPHEN) else None
    return half[1] if half else ""


def _shape(line: Line) -> str:
    return _DIGITS.sub("#", line.text).casefold()


def _edges(page: list[Line]) -> list[Line]:
    return page if len(page) <= 2 * _EDGE else page[:_EDGE] + page[-_EDGE:]


def _trimmed(page: list[Line], running: set[str]) -> list[Line]:
    first, last = 0, len(page)
    while first < min(_EDGE, last) and _shape(page[first]) in running:
        first += 1
    while last > max(first, len(page) - _EDGE) and _shape(page[last - 1]) in running:
        last -= 1
    return page[first:last]


def _begins_paragraph(line: Line, group: list[Line], step: float, margin: float) -> bool:
    last = group[-1]
    if line.drop > 1.35 * step or line.drop < -0.5 * step:
        return True
    if _RULE.fullmatch(line.text) or _RULE.fullmatch(last.text):
        return True
    if last.text.endswith(_SOFT):
        return False
    if abs(line.size - last.size) > 0.1 * last.size or line.bold != last.bold or _BULLET.match(line.text):
        return True
    if _NUMBER.match(line.text) and _may_be_item(line, group, margin):
        return True
    if _would_have_fitted(line, last, margin):
        return last.bold or _ends_sentence(last.text) or _is_indented(line, group)
    return _ends_sentence(last.text) and _is_indented(line, group)


def _may_be_item(line: Line, group: list[Line], margin: float) -> bool:
    """Whether a number at the start of a line counts items, or only happens to stand there."""
    last = group[-1]
    if _would_have_fitted(line, last, margin) or last.text.endswith(_ENDS_CLAUSE):
        return True
    if not _NUMBER.match(group[0].text) or abs(line.left - group[0].left) > line.em:
        return False
    counts_on = _item_number(line.text) - _item_number(group[0].text) == 1
    return counts_on or _ends_sentence(last.text)


def _item_number(text: str) -> int:
    """The number that an item begins with, 0 for a letter or a dash."""
    match = _DIGITS.match(text.lstrip("("))
    return int(match[0]) if match else 0


def _is_indented(line: Line, group: list[Line]) -> bool:
    """Whether the left edge says that a paragraph begins. Titles may be centred, and items hang from their marks."""
    indent = line.left - group[-1].left
    if len(group) > 1:
        return abs(indent) > 0.8 * line.em and not (line.bold and len(group) < 3)
    hangs = line.bold or _BULLET.match(group[0].text) or _NUMBER.match(group[0].text)
    return indent > (6 if hangs else 0.8) * line.em


def _ends_sentence(text: str) -> bool:
    return bool(_ENDS_SENTENCE.search(text[-_TAIL:]))


def _would_have_fitted(line: Line, last: Line, margin: float) -> bool:
    """The line above had room for the first word of this one: the break was meant."""
    first = line.text.split(" ", 1)[0]
    return not last.text.endswith(_HYPHEN) and last.right + (len(first) + 4) * last.em < margin


def _over_pages(pages: list[list[Paragraph]]) -> list[Paragraph]:
    """All paragraphs in order, with those that go on over a page break made one."""
    result: list[Paragraph] = []
    pending = 0
    for page in pages:
        pending += 1
        for number, paragraph in enumerate(page):
            if number == 0 and result and _runs_on(result[-1].lines[-1], paragraph.lines[0]):
                last = result[-1]
                last.opens += [len(last.lines)] * pending
                last.kept += [False, *paragraph.kept]
                last.lines += paragraph.lines
            else:
                paragraph.opens = [0] * pending
                result.append(paragraph)
            pending = 0
    return result


def _runs_on(last: Line, line: Line) -> bool:
    if abs(last.size - line.size) > 0.1 * last.size or _ends_sentence(last.text):
        return False
    return line.text[0].islower() or bool(_broken(last.text))
