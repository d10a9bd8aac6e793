"""Charts are pictures that a strict CSP lets through, with every number also in words."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from selectolax.lexbor import LexborHTMLParser

from datasets.presenters import charts
from datasets.reports.bins import round_step, round_ticks

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOSTILE = '<script>alert("x")</script>'


def every_kind() -> dict[str, str]:
    return {
        "bars": charts.bars(f"Bars \x08{HOSTILE}", [(HOSTILE, 3), ("Nurse \x08", 12_345)]),
        "histogram": charts.histogram("Scores", [0, 0.5, 1], [3, 1], names=["below a half", HOSTILE]),
        "donut": charts.donut("Grades", {HOSTILE: 3, "bad": 1}),
        "lines": charts.lines(
            "Calls", {f"\x08{HOSTILE}": [(START, 1.0), (START + timedelta(hours=1), 2.0)], "b": [(START, None)]}
        ),
    }


def texts(html: str, selector: str) -> list[str]:
    return [node.text().strip() for node in LexborHTMLParser(html).css(selector)]


@pytest.mark.parametrize("kind", ["bars", "histogram", "donut", "lines"])
def test_a_chart_has_no_style_no_script_and_no_address(kind: str) -> None:
    html = every_kind()[kind]
    assert not re.search(r"<style|<script|style=|javascript|http|//|on\w+=|url\(", html)
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize("kind", ["bars", "histogram", "donut", "lines"])
def test_a_chart_is_an_image_with_a_title_and_a_table_of_its_numbers(kind: str) -> None:
    tree = LexborHTMLParser(every_kind()[kind])
    picture = tree.css_first("figure.chart svg")
    assert picture.attributes["role"] == "img"
    assert picture.css_first("title").text() == tree.css_first("figcaption").text()
    assert len(tree.css("details.chart-numbers tbody tr")) == 2


def test_a_long_label_is_cut_in_the_picture_and_whole_in_its_title_and_in_the_table() -> None:
    whole = "A retired sea captain who repairs radios"
    html = charts.bars("Personas", [(whole, 3)])
    assert texts(html, ".axis.y text") == ["A retired sea captain…"]
    assert texts(html, ".axis.y .guides title") == [whole]
    assert texts(html, ".bar title") == [f"{whole}: 3"]
    assert texts(html, "tbody th") == [whole]


def test_bars_stand_in_the_order_given_from_above() -> None:
    tree = LexborHTMLParser(charts.bars("Personas", [("first", 3), ("second", 9)]))
    heights = {node.text(): float(node.attributes["y"] or 0) for node in tree.css(".axis.y text")}
    assert heights["first"] < heights["second"]


def test_a_donut_of_one_part_is_a_whole_ring() -> None:
    html = charts.donut("Grades", {"perfect": 7, "bad": 0})
    (path,) = LexborHTMLParser(html).css(".slice path")
    outline = path.attributes["d"] or ""
    (x, y), (to_x, to_y) = re.findall(r"([\d.]+) ([\d.]+)(?= A| L)", outline)[:2]
    assert (x, y) != (to_x, to_y), "an arc that ends where it begins is not drawn"
    assert " 0 1 1 " in outline, "it goes the long way round"
    assert texts(html, "td") == ["7", "100.0 %"]


def test_a_donut_puts_its_smallest_parts_together() -> None:
    html = charts.donut("Languages", {f"part {n}": n for n in range(1, 11)})
    assert texts(html, "tbody th") == ["part 10", "part 9", "part 8", "part 7", "part 6", "5 others"]
    assert texts(html, "tbody td:nth-child(2)")[-1] == "15"


def test_the_tones_of_a_donut_stay_with_their_parts() -> None:
    html = charts.donut("Grades", {"perfect": 0, "good": 2, "bad": 1}, tones=["done", "ghost", "failed"])
    assert [node.attributes["class"] for node in LexborHTMLParser(html).css("li")] == ["tone-ghost", "tone-failed"]


def test_a_histogram_labels_its_edges_and_names_its_bins() -> None:
    html = charts.histogram("Scores", [n / 10 for n in range(11)], [0] * 9 + [4])
    assert texts(html, ".axis.x text") == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert texts(html, ".histbar title")[-1] == "0.9 – 1: 4"
    open_ended = charts.histogram("Words", [0, 50, 100], [3, 1], open_ended=True)
    assert texts(open_ended, ".axis.x text") == ["0", "50", "more"]
    with pytest.raises(ValueError, match="one edge more"):
        charts.histogram("Scores", [0, 1], [1, 2])


def test_lines_take_moments_or_seconds_and_leave_gaps() -> None:
    values = [1.0, None, 3.0, 4.0]
    moments = charts.lines("Calls", {"a": [(START + timedelta(minutes=10 * n), v) for n, v in enumerate(values)]})
    assert texts(moments, ".axis.x text") == ["12:00", "12:05", "12:10", "12:15", "12:20", "12:25", "12:30"]
    assert texts(moments, ".dots title")[0] == "a, 01 Mar 2026 12:00:00: 1"
    seconds = charts.lines("Calls", {"a": [(20.0 * n, v) for n, v in enumerate(values)]})
    assert texts(seconds, ".axis.x text") == ["00:00", "00:10", "00:20", "00:30", "00:40", "00:50", "01:00"]
    assert [len(texts(html, "tbody tr")) for html in (moments, seconds)] == [4, 4]
    assert len(texts(moments, ".dots")) == 3


def test_a_point_between_two_gaps_of_a_long_line_is_seen() -> None:
    values = [1.0 if n < 50 else 2.0 if n == 70 else None for n in range(100)]
    paths = LexborHTMLParser(charts.lines("Calls", {"a": [(n, v) for n, v in enumerate(values)]})).css(
        "path.line.reactive"
    )
    outlines = [re.findall(r"[\d.]+ [\d.]+", path.attributes["d"] or "") for path in paths]
    assert [len(outline) for outline in outlines] == [50, 2]
    assert len(set(outlines[1])) == 1


def test_a_chart_of_nothing_says_so() -> None:
    empty = [charts.bars("A", []), charts.donut("A", {"a": 0}), charts.lines("A", {"a": []})]
    assert all("No data." in html and "<svg" not in html for html in [*empty, charts.histogram("A", [0, 1], [0])])


def test_steps_and_ticks_are_round() -> None:
    assert [round_step(span, 4) for span in (0, 1, 3, 7, 41, 1200)] == [1, 0.5, 1, 2, 20, 500]
    assert round_ticks(7) == [0, 2, 4, 6, 8]
    assert round_ticks(0) == [0, 1]
