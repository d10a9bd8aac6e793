"""Template tags and filters of the pages' design language; load with ``{% load ui %}``.

Numbers are grouped with a narrow no-break space and followed by their unit, so they never wrap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import template
from django.forms import BaseForm, BoundField, CheckboxInput, FileInput, Select, Widget
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from afterimage_web import words

register = template.Library()

# Every state shown anywhere, and the colour family it belongs to. An unknown state is shown in neutral grey.
TONES: Mapping[str, str] = {
    **dict.fromkeys(["pending", "waiting", "queued", "draft", "new", "generated", "in_review", "proposed"], "waiting"),
    **dict.fromkeys(["running", "reading", "indexing", "writing", "pausing", "cancelling"], "running"),
    **dict.fromkeys(["done", "completed", "ready", "approved", "accepted", "ok", "active"], "done"),
    **dict.fromkeys(["failed", "rejected", "error", "stopped"], "failed"),
    **dict.fromkeys(["flagged", "partial", "warning"], "flagged"),
    "paused": "paused",
    # Grades of conversations.
    **dict.fromkeys(["perfect", "good"], "done"),
    **dict.fromkeys(["bad", "not_acceptable"], "failed"),
    "needs_improvement": "flagged",
}
TONE_ICONS: Mapping[str, str] = {
    "waiting": "waiting",
    "running": "running",
    "done": "check",
    "failed": "x",
    "flagged": "flag",
    "paused": "pause",
    "off": "minus",
}
BANNER_ICONS: Mapping[str, str] = {"info": "info", "warning": "warning", "danger": "warning", "success": "check"}


# Numbers and times ---------------------------------------------------------------------------------------------

register.filter("num", words.number)
register.filter("money", words.money)
register.filter("size", words.size)
register.filter("duration", words.duration)
register.filter("initials", words.initials)


@register.simple_tag
def ago(moment: datetime | None, empty: str = "never") -> str:
    """``<time>`` that reads "4 min ago" and shows the exact moment on hover."""
    if moment is None:
        return empty
    exact = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        exact.isoformat(timespec="seconds"),
        exact.strftime("%d %b %Y, %H:%M:%S %Z"),
        words.relative(moment, timezone.now()),
    )


@register.filter
def spelled(name: str) -> str:
    """A name out of the code as people write it: "needs_improvement" is "Needs improvement"."""
    words_of_it = name.replace("_", " ")
    return words_of_it[:1].upper() + words_of_it[1:]


@register.filter
def tone(state: str) -> str:
    """The colour family of a state, as a class."""
    return TONES.get(state, "off")


@register.filter
def begins(address: str, start: str) -> bool:
    return address.startswith(start)


# Small pieces --------------------------------------------------------------------------------------------------


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """An icon of static/icons.svg: decorative, or with ``label`` an image that is read aloud."""
    named = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')
    return format_html('<svg class="icon" {}><use href="{}#{}"/></svg>', named, static("icons.svg"), name)


@register.simple_tag
def status(state: str, label: str = "") -> SafeString:
    """The badge of a state: colour, icon and word, so that colour never carries it alone."""
    tone = TONES.get(state, "off")
    word = label or spelled(state)
    return format_html('<span class="status {}">{}{}</span>', tone, icon(TONE_ICONS[tone]), word)


@register.simple_tag
def tile(label: str, value: object, unit: str = "", note: str = "") -> SafeString:
    """A stat tile: label, big number, unit and a line under it."""
    return format_html(
        '<div class="tile"><span class="tile-label">{}</span><span class="tile-value">{}{}</span>{}</div>',
        label,
        value,
        format_html(" <small>{}</small>", unit) if unit else "",
        format_html('<span class="tile-note">{}</span>', note) if note else "",
    )


@register.simple_tag
def markdown(text: str | None) -> SafeString:
    """Text that a person or a model wrote, as safe HTML inside ``<div class="prose">``."""
    cleaned = mark_safe(words.markdown(text or ""))  # noqa: S308 (nh3 has cleaned it)
    return format_html('<div class="prose">{}</div>', cleaned)


@register.simple_tag
def diff(old: str, new: str) -> SafeString:
    """What changed between two texts, word by word, inside ``<div class="diff">``."""
    marks = {"same": "{}", "removed": "<del>{}</del>", "added": "<ins>{}</ins>"}
    parts = (format_html(marks[change], text) for change, text in words.compare(old, new))
    return format_html('<div class="diff">{}</div>', format_html_join("", "{}", ((part,) for part in parts)))


# Charts --------------------------------------------------------------------------------------------------------


def segments(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Bar segments in percent that fill exactly 100; one in a million still gets a visible sliver."""
    shown = {name: count for name, count in counts.items() if count > 0}
    total = sum(shown.values())
    widths = {name: max(100 * count / total, 0.8) for name, count in shown.items()}
    scale = 100 / sum(widths.values()) if widths else 0
    start, result = 0.0, []
    for name, count in shown.items():
        width = widths[name] * scale
        result.append({"name": name, "count": count, "x": round(start, 3), "width": round(width, 3)})
        start += width
    return result


@register.inclusion_tag("components/progress.html")
def progress(
    done: int = 0, running: int = 0, failed: int = 0, waiting: int = 0, paused: int = 0, legend: bool = False
) -> dict[str, Any]:
    """The segmented bar of something that is under way, from counts."""
    counts = {"done": done, "running": running, "failed": failed, "paused": paused, "waiting": waiting}
    total = sum(counts.values())
    parts = segments(counts)
    said = ", ".join(f"{words.number(part['count'])} {part['name']}" for part in parts) or "nothing yet"
    return {
        "segments": parts,
        "label": f"{said}, of {words.number(total)}" if total else said,
        "finished": done + failed,
        "total": total,
        "legend": legend,
    }


@register.inclusion_tag("components/meter.html")
def meter(value: float | Decimal, limit: float | Decimal | None, label: str) -> dict[str, Any]:
    """How much of a limit is used up; amber from 80 %, red from 100 %. No limit: an empty bar."""
    share = 100 * float(value) / float(limit) if limit else 0.0
    tone = "over" if share >= 100 else "near" if share >= 80 else ""
    return {"share": round(min(share, 100), 2), "percent": round(share), "tone": tone, "label": label}


@register.inclusion_tag("components/meter.html")
def score_bar(value: float, label: str) -> dict[str, Any]:
    """A score from 0 to 1 as a bar. A high one is no alarm, as it would be on a meter."""
    return {"share": round(100 * value, 2), "percent": round(100 * value), "tone": "", "label": label}


def _points(values: Sequence[float], ceiling: float) -> list[tuple[float, float]]:
    """Values from left to right in a box of 100 x 30 with a margin of 2 above and below."""
    step = 100 / max(len(values) - 1, 1)
    return [(round(i * step, 2), round(28 - 26 * value / ceiling, 2)) for i, value in enumerate(values)]


@register.inclusion_tag("components/sparkline.html")
def sparkline(values: Iterable[float | None], label: str, tall: bool = False) -> dict[str, Any]:
    """A line over time, oldest first, from zero to the largest value; ``tall`` makes it a small chart."""
    numbers = [float(value or 0) for value in values]
    peak = max(numbers, default=0)
    points = _points(numbers, peak or 1)
    return {
        "line": " ".join(f"{x},{y}" for x, y in points),
        "last": points[-1] if points else None,
        "label": f"{label}: highest {words.number(peak, 1)}, last {words.number(numbers[-1], 1)}"
        if numbers
        else f"{label}: nothing yet",
        "tall": tall,
    }


# Forms ---------------------------------------------------------------------------------------------------------


@register.inclusion_tag("components/field.html")
def field(bound: BoundField, label: str = "", help: str = "", unit: str = "", width: str = "") -> dict[str, Any]:
    """One form field with label, help and error beside it; ``width`` is "short", "medium" or "" for full."""
    widget = bound.field.widget
    bound.help_text = help or bound.help_text  # so that the widget's aria-describedby knows of it
    kind = "file" if isinstance(widget, FileInput) else "check" if isinstance(widget, CheckboxInput) else "text"
    return {
        "field": bound,
        "kind": "group" if kind == "text" and widget.use_fieldset else kind,
        "label": label or bound.label,
        "unit": unit,
        "width": width,
        "optional": not bound.field.required and _may_be_empty(widget),
    }


def _may_be_empty(widget: Widget) -> bool:
    """A list to choose one from, whose first line is not empty, is never left out, whatever is sent without it."""
    if not isinstance(widget, Select) or widget.allow_multiple_selected:
        return True
    value, _ = next(iter(widget.choices), ("", ""))
    return value in ("", None)


@register.inclusion_tag("components/form.html")
def fields(form: BaseForm) -> dict[str, Any]:
    """Every field of a form, below its general errors."""
    return {"form": form}


@register.inclusion_tag("components/form_errors.html")
def form_errors(form: BaseForm) -> dict[str, Any]:
    """A banner that says what stops the form, with a link to each field that needs attention."""
    wrong = [form[name] for name in form.errors if name in form.fields]
    return {"general": form.non_field_errors(), "wrong": wrong, "hidden": form.hidden_fields()}


# Blocks --------------------------------------------------------------------------------------------------------


@register.simple_block_tag
def page_header(content: str, title: str, subtitle: str = "", badge: str = "") -> SafeString:
    """The head of a page: its title (the one ``<h1>``), a line under it, and the actions as content."""
    return format_html(
        '<header class="page-header"><div><h1>{}{}</h1>{}</div><div class="actions">{}</div></header>',
        title,
        format_html(" {}", badge) if badge else "",
        format_html('<p class="subtitle">{}</p>', subtitle) if subtitle else "",
        content,
    )


@register.simple_block_tag
def empty(content: str, sentence: str) -> SafeString:
    """An empty state: one sentence, and one button as content."""
    return format_html('<div class="empty"><p>{}</p>{}</div>', sentence, content)


@register.simple_block_tag
def banner(content: str, tone: str = "info") -> SafeString:
    """A strip that explains a state: tone is "info", "warning", "danger" or "success"."""
    role = "alert" if tone == "danger" else "status"
    return format_html(
        '<div class="banner {}" role="{}">{}<div>{}</div></div>', tone, role, icon(BANNER_ICONS[tone]), content
    )
