"""Charts as safe HTML: a figure with an SVG picture and, folded, a table of the same numbers.

Every function takes the figure's title and data, and returns a SafeString for a template. Texts in it may come from
anybody. Colours come from `static/app.css` by classes, because the site's CSP allows neither styles nor scripts inside
a page: whatever pygal writes of them is taken out again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import cycle, islice, pairwise
from typing import Any, Literal

import pygal
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from lxml import etree
from pygal.style import Style

from datasets.reports.bins import round_step, round_ticks

Form = Callable[[float], str]
"""How a value reads."""
Point = tuple[datetime | float, float | None]
"""When (a moment, or seconds since the beginning) and how much; None leaves a gap in the line."""
Tone = Literal["ghost", "accent", "flagged", "paused", "done", "failed", "waiting"]

CYCLE: tuple[Tone, ...] = ("ghost", "accent", "flagged", "paused", "done", "waiting")
PARTS = 6
"""A donut shows so many parts; what is smaller is one part more."""
LABEL = 22
"""Characters of a label beside a bar."""
DOTS = 60
"""Lines with more points in time have no dots."""

WIDTH, WIDE, HEIGHT, FONT = 380, 560, 190, 11
_STYLE = Style(label_font_size=FONT, major_label_font_size=FONT, value_font_size=FONT, no_data_font_size=FONT)
_MARKS = ".//*[@class='slice' or @class='bar' or @class='histbar' or @class='dots']"
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)


def plain(value: float) -> str:
    """Whole numbers, and large ones, in groups of three; others with at most two digits after the point."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.2f}".rstrip("0").rstrip(".")


def bars(
    title: str, rows: Iterable[tuple[str, float]], *, form: Form = plain, tone: Tone = "ghost", top: float = 0
) -> SafeString:
    """A bar lying beside each label, in the order given, with its value at its end. Long labels are cut.

    A value of `top`, if it is larger than every value, would fill the width.
    """
    rows = [(_fit(label), value) for label, value in rows]
    top = max([top, *(value for _, value in rows)]) or 1
    chart = pygal.HorizontalBar(
        **_options(height=len(rows) * 22 + 8, margin=4, range=(0, top * 1.22), show_x_labels=False, print_values=True),
        print_values_position="top", show_x_guides=False, show_y_guides=False, value_formatter=form,
    )  # fmt: skip
    chart.x_labels = [_cut(label) for label, _ in reversed(rows)]
    chart.add(title, [value for _, value in reversed(rows)])
    tips = [f"{label}: {form(value)}" for label, value in reversed(rows)]
    picture = _picture(chart, title, [tone], tips, names=[label for label, _ in reversed(rows)]) if rows else None
    return _figure(title, picture, ("", title), [(label, form(value)) for label, value in rows])


def histogram(
    title: str, edges: Sequence[float], counts: Sequence[int], *, names: Sequence[str] = (), form: Form = plain,
    tone: Tone = "ghost", open_ended: bool = False,
) -> SafeString:  # fmt: skip
    """Columns between neighbouring edges: len(counts) + 1 of them. `names` say what a bin holds, where "0 – 10" does not.

    `open_ended`: the last bin also holds whatever is above its upper edge.
    """
    if len(edges) != len(counts) + 1:
        raise ValueError("A histogram has one edge more than it has counts.")
    names = names or [f"{form(low)} – {form(high)}" for low, high in pairwise(edges)]
    chart = pygal.Histogram(**_options(y_labels=round_ticks(max(counts, default=0))), x_value_formatter=form)
    chart.x_labels = [{"value": edge, "label": form(edge)} for edge in edges[:: -(-len(edges) // 8)]]
    if open_ended:
        chart.x_labels = [*(label for label in chart.x_labels if label["value"] < edges[-1]), _more(edges[-1])]
    chart.add(title, [(count, low, high) for count, (low, high) in zip(counts, pairwise(edges), strict=True)])
    rows = [(name, plain(count)) for name, count in zip(names, counts, strict=True)]
    picture = _picture(chart, title, [tone], [": ".join(row) for row in rows]) if sum(counts) else None
    return _figure(title, picture, ("", "Number"), rows)


def donut(title: str, parts: Mapping[str, float], *, tones: Sequence[Tone] = CYCLE, form: Form = plain) -> SafeString:
    """A ring of the parts above zero, with a legend that gives each one's value and share; the smallest are together.

    `tones` are those of `parts`, one each, and begin again when they run out.
    """
    toned = zip(parts.items(), cycle(tones), strict=False)
    shown = _together([(_fit(label), value, tone) for (label, value), tone in toned if value > 0])
    total = sum(value for _, value, _ in shown)
    chart = pygal.Pie(**_options(width=160, height=160, margin=0), inner_radius=0.62)
    for label, value, _ in shown:
        chart.add(label, value)
    rows = [(label, form(value), f"{100 * value / total:.1f} %") for label, value, _ in shown]
    tips = [f"{label}: {value} ({share})" for label, value, share in rows]
    tones = [tone for _, _, tone in shown]
    picture = _picture(chart, title, tones, tips) if shown else None
    return _figure(title, picture, ("", "Number", "Share"), rows, legend=list(zip(tones, rows, strict=True)))


def lines(
    title: str, series: Mapping[str, Sequence[Point]], *, form: Form = plain, tones: Sequence[Tone] = CYCLE,
    top: float | None = None,
) -> SafeString:  # fmt: skip
    """Lines over time, from zero up; the axis reaches `top` at least.

    All of `series` have either moments or seconds, each the oldest first.
    """
    points = {_fit(name): [(_seconds(when), value) for when, value in one] for name, one in series.items()}
    whens = sorted({when for one in points.values() for when, _ in one})
    values = [value for one in points.values() for _, value in one if value is not None]
    moments = any(isinstance(when, datetime) for one in series.values() for when, _ in one)
    ticks = round_ticks(max([*values, top or 0]))
    chart = pygal.XY(
        **_options(width=WIDE, height=HEIGHT, y_labels=ticks, range=(0, ticks[-1])), allow_interruptions=True,
        show_dots=len(whens) <= DOTS, dots_size=2.5, value_formatter=form,
    )  # fmt: skip
    chart.x_labels = _time_labels(whens, moments) if values else []
    for name, one in points.items():
        chart.add(name, one if len(whens) <= DOTS else _lone_twice(one))
    shown = [(name, when, value) for name, one in points.items() for when, value in one if value is not None]
    tips = [f"{name}, {_moment(when, moments)}: {form(value)}" for name, when, value in shown]
    tones = list(islice(cycle(tones), len(points)))
    picture = _picture(chart, title, tones, tips if len(whens) <= DOTS else []) if values else None
    legend = [(tone, (name, "", "")) for tone, name in zip(tones, points, strict=True)] if len(points) > 1 else []
    rows = _time_rows(points, whens, moments, form)
    return _figure(title, picture, ("Time", *points), rows, legend=legend, wide=True)


# -- texts --------------------------------------------------------------------------------------------------------------


def _fit(text: str) -> str:
    """Without characters that XML cannot hold."""
    return _UNFIT.sub(" ", str(text))


def _cut(label: str) -> str:
    return label if len(label) <= LABEL else label[: LABEL - 1].rstrip() + "…"


def _together(parts: list[tuple[str, float, Tone]]) -> list[tuple[str, float, Tone]]:
    if len(parts) <= PARTS:
        return parts
    parts = sorted(parts, key=lambda part: -part[1])
    kept, rest = parts[: PARTS - 1], parts[PARTS - 1 :]
    return [*kept, (f"{len(rest)} others", sum(value for _, value, _ in rest), "waiting")]


def _lone_twice(points: Sequence[tuple[float, float | None]]) -> list[tuple[float, float | None]]:
    """With every point between two gaps doubled: a line of no length is drawn as a dot, a single point not at all."""
    values = [None, *(value for _, value in points), None]
    alone = [before is None and after is None for before, after in zip(values, values[2:], strict=False)]
    return [point for point, lone in zip(points, alone, strict=True) for _ in range(1 + lone)]


def _more(edge: float) -> dict[str, Any]:
    return {"value": edge, "label": "more"}


# -- time ---------------------------------------------------------------------------------------------------------------


def _seconds(when: datetime | float) -> float:
    return when.timestamp() if isinstance(when, datetime) else float(when)


def _local(when: float) -> datetime:
    return datetime.fromtimestamp(when, timezone.get_current_timezone())


def _moment(when: float, moments: bool) -> str:
    return f"{_local(when):%d %b %Y %H:%M:%S}" if moments else _span(when)


def _span(seconds: float) -> str:
    """Seconds as 00:05, 1:05:00."""
    return str(timedelta(seconds=round(seconds))).removeprefix("0:")


def _time_labels(whens: Sequence[float], moments: bool) -> list[dict[str, Any]]:
    """About six round times between the first and the last, in the time zone of the page."""
    span = whens[-1] - whens[0]
    step = next((step for step in _STEPS if span / step <= 6), None) or 86400 * round_step(span / 86400, 6)
    offset = (_local(whens[0]).utcoffset() or timedelta()).total_seconds() if moments else 0
    first = -(-(whens[0] + offset) // step) * step - offset
    times = [first + index * step for index in range(int(max(0, whens[-1] - first) // step) + 1)]
    pattern = "%d %b" if step >= 86400 else "%H:%M" if step >= 60 else "%H:%M:%S"
    return [{"value": when, "label": f"{_local(when):{pattern}}" if moments else _span(when)} for when in times]


def _time_rows(
    points: Mapping[str, Sequence[tuple[float, float | None]]], whens: Sequence[float], moments: bool, form: Form
) -> list[tuple[str, ...]]:
    columns = [dict(one) for one in points.values()]
    return [
        (_moment(when, moments), *("" if (value := column.get(when)) is None else form(value) for column in columns))
        for when in whens
    ]


# -- SVG and HTML -------------------------------------------------------------------------------------------------------


def _options(**changes: Any) -> dict[str, Any]:
    return {
        "width": WIDTH, "height": HEIGHT, "margin": 8, "spacing": 6, "style": _STYLE, "css": [], "js": [],
        "show_legend": False, "no_prefix": True, "disable_xml_declaration": True, "truncate_label": -1, **changes,
    }  # fmt: skip


def _picture(
    chart: Any, title: str, tones: Sequence[Tone], tips: Sequence[str], *, names: Sequence[str] = ()
) -> SafeString:
    """The chart as an `<svg>` without namespaces, which HTML does not need. `tips` are shown where the pointer rests."""
    root = chart.render_tree()
    _strip(root)
    etree.SubElement(root, "title").text = _fit(title)
    root.insert(0, root[-1])  # a title counts where it comes first
    for mark, tip in zip(root.xpath(_MARKS), tips, strict=False):
        etree.SubElement(mark, "title").text = tip
    for guide, name in zip(root.xpath(".//*[@class='guides']"), names, strict=False):
        etree.SubElement(guide, "title").text = name
    for index, tone in enumerate(tones):
        for part in root.xpath(f".//*[contains(concat(@class, ' '), 'color-{index} ')]"):
            part.set("class", f"series tone-{tone}")
    etree.cleanup_namespaces(root)
    return mark_safe(etree.tostring(root, encoding="unicode"))  # noqa: S308 (lxml has escaped every text)


def _strip(root: Any) -> None:
    """What pygal writes for its own styles, scripts and tooltips."""
    etree.strip_elements(root, "style", "script", "defs", "desc", "title", etree.Comment, with_tail=False)
    for node in root.xpath(".//*[@class='tooltip']"):
        node.getparent().remove(node)
    root.attrib.pop("id")
    root.set("role", "img")


def _figure(
    title: str, picture: SafeString | None, head: Sequence[str], rows: Sequence[Sequence[str]], *,
    legend: Sequence[tuple[Tone, tuple[str, str, str]]] = (), wide: bool = False,
) -> SafeString:  # fmt: skip
    """The picture (None: there is nothing to draw) under its title, and its numbers."""
    if picture is None:
        nothing = '<figure class="chart"><figcaption>{}</figcaption><p class="muted">No data.</p></figure>'
        return format_html(nothing, _fit(title))
    written = ((name, _cells("td", texts)) for name, *texts in rows)
    numbers = format_html_join("", '<tr><th scope="row">{}</th>{}</tr>', written)
    key = format_html_join(
        "",
        '<li class="tone-{}"><span>{}</span> <b>{}</b> <small>{}</small></li>',
        ((tone, *row) for tone, row in legend),
    )
    return format_html(
        '<figure class="chart{}"><figcaption>{}</figcaption><div class="chart-picture">{}{}</div>'
        '<details class="chart-numbers"><summary>Numbers</summary><div class="table-box"><table class="table"><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div></details></figure>",
        " wide" if wide else "", _fit(title), picture, format_html('<ul class="chart-legend">{}</ul>', key) if key else "",
        _cells("th", head), numbers,
    )  # fmt: skip


def _cells(tag: str, texts: Iterable[str]) -> SafeString:
    opening, closing = mark_safe(f'<{tag} class="num">'), mark_safe(f"</{tag}>")  # noqa: S308 (a tag's name)
    return format_html_join("", "{}{}{}", ((opening, text, closing) for text in texts))
