"""How the pages say things: numbers, money, times, Markdown and changes between texts. No template in here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from difflib import SequenceMatcher
from typing import Literal

import nh3
from markdown_it import MarkdownIt

THIN = "\u202f"  # narrow no-break space, between groups of digits
GAP = "\u00a0"  # no-break space, between a number and its unit
CURRENCIES = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CNY": "¥", "INR": "₹"}
_THREE_DIGITS = Context(prec=3, rounding=ROUND_HALF_UP)
Number = int | float | Decimal
Change = Literal["same", "removed", "added"]
ISLAND = 3
"""Fewer words than this between two changes are shown as part of them."""


def number(value: Number | None, decimals: int = 0) -> str:
    """12345.6 as "12 346" (or with ``decimals`` digits after the point); None as a dash."""
    if value is None:
        return "–"
    return f"{value:,.{int(decimals)}f}".replace(",", THIN)


def money(value: Number | None, currency: str = "USD") -> str:
    """An amount with its cents ("$12.35"); below one to three significant digits ("$0.0123"), from a hundred on in whole
    units ("$1 234")."""
    if value is None:
        return "–"
    sign = CURRENCIES.get(currency, f"{currency}{GAP}")
    amount = Decimal(str(value))
    if amount == 0:
        return f"{sign}0"
    magnitude = _THREE_DIGITS.plus(amount).adjusted()
    places = 0 if magnitude >= 2 else max(2, 2 - magnitude)
    shown = amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    return f"{'−' if shown < 0 else ''}{sign}{number(abs(shown), places)}"


def size(octets: int | None) -> str:
    """A number of bytes as "512 B", "1.4 MB"."""
    if octets is None:
        return "–"
    value, unit = float(octets), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    decimals = 1 if unit != "B" and value < 99.95 else 0
    return f"{number(value, decimals)}{GAP}{unit}"


def duration(value: Number | timedelta | None) -> str:
    """Seconds (or a timedelta) in at most two units: "0.42 s", "3 min 20 s", "2 h 5 min", "3 d 4 h"."""
    if value is None:
        return "–"
    total = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if total < 9.95:
        return f"{total:.2g}{GAP}s" if total < 0.995 else f"{total:.1f}{GAP}s"
    whole = round(total)
    for unit, length, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= length:
            rest = whole % length // part
            return f"{whole // length}{GAP}{unit}" + (f" {rest}{GAP}{smaller}" if rest else "")
    return f"{whole}{GAP}s"


def relative(moment: datetime, now: datetime) -> str:
    """Words like "just now", "4 min ago", "in 2 h", "3 d ago"; a date from four weeks on."""
    gap = (now - moment).total_seconds()
    distance = abs(gap)
    if distance < 10:
        return "just now"
    if distance >= 28 * 86400:
        return f"{moment.day} {moment:%b}" + ("" if moment.year == now.year else f" {moment.year}")
    unit, length = next(pair for pair in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)) if distance >= pair[1])
    amount = f"{int(distance // length)}{GAP}{unit}"
    return f"{amount} ago" if gap > 0 else f"in {amount}"


def initials(name: object) -> str:
    """At most two letters that stand for a person: "ana.lopez@x.org" is "AL"."""
    parts = re.findall(r"[^\W_]+", str(name).split("@")[0])
    return "".join(part[0] for part in parts[:2]).upper() or "?"


# Images are left out on purpose: a conversation must not make a reader's browser ask other hosts for anything.
_PARSER = MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": True}).enable(["table", "strikethrough"])
_PARSER.disable("image")
_BLOCKS = {"p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "ul", "ol", "li"}
_TAGS = _BLOCKS | {"strong", "em", "s", "code", "a", "table", "thead", "tbody", "tr", "th", "td"}


def markdown(text: str) -> str:
    """Markdown as HTML of a short list of tags: no scripts, no images, no raw HTML, http(s) and mailto links."""
    return nh3.clean(
        _PARSER.render(text),
        tags=_TAGS,
        attributes={"a": {"href", "title"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )


def compare(old: str, new: str) -> Iterator[tuple[Change, str]]:
    """The two texts as runs of (change, text): by lines first, then by words inside the lines that differ."""
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    for tag, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            yield "same", "".join(before[i:j])
        else:
            yield from _compare_words("".join(before[i:j]), "".join(after[k:m]))


def _compare_words(old: str, new: str) -> Iterator[tuple[Change, str]]:
    before, after = re.findall(r"\s+|\w+|[^\w\s]", old), re.findall(r"\s+|\w+|[^\w\s]", new)
    steps = SequenceMatcher(None, before, after).get_opcodes()
    removed = added = ""
    for place, (tag, i, j, k, m) in enumerate(steps):
        inside = 0 < place < len(steps) - 1
        if tag == "equal" and not (inside and _is_island(before[i:j])):
            yield from _changed(removed, added)
            yield "same", "".join(before[i:j])
            removed = added = ""
        else:
            removed, added = removed + "".join(before[i:j]), added + "".join(after[k:m])
    yield from _changed(removed, added)


def _is_island(parts: list[str]) -> bool:
    """Whether so little stands unchanged between two changes that they are easier to read as one."""
    return sum(part.isalnum() for part in parts) < ISLAND


def _changed(removed: str, added: str) -> Iterator[tuple[Change, str]]:
    if removed:
        yield "removed", removed
    if added:
        yield "added", added
