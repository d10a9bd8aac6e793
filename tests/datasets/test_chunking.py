"""Passages: exact offsets, nothing lost, nothing empty, never longer than asked."""

from __future__ import annotations

import random
import time
from itertools import pairwise

import pytest

from datasets.reading import Heading, Text, chunk

WORDS = [
    "word",
    "Straße",
    "naïve",
    "日本語。",
    "😀",
    "👩‍👩‍👧",
    "e\u0301te\u0301",
    "𝔘𝔫𝔦",
    "x" * 90,
    "a.b",
    "—",
    "end.",
    "Really?",
]
GAPS = [" "] * 12 + ["  ", "\n", "\n\n", "\n\n\n", "\t", "\u00a0", ". "]


def document(seed: int) -> Text:
    """A text of odd words, gaps and headings."""
    draw = random.Random(seed)
    parts, headings, length = [], [], 0
    for _ in range(draw.randrange(400)):
        if draw.random() < 0.04:
            part = f"{'#' * draw.randint(1, 3)} Heading {length}\n"
            parts.append("\n")
            headings.append(Heading(length + 1, part.index(" "), part[part.index(" ") + 1 : -1]))
            length += 1
        else:
            part = draw.choice(WORDS) + draw.choice(GAPS)
        parts.append(part)
        length += len(part)
    text = "".join(parts)
    pages = tuple(sorted(draw.sample(range(1, len(text)), min(5, len(text) - 1)))) if len(text) > 9 else ()
    return Text("t", text, pages=(0, *pages) if pages else (), headings=tuple(headings))


@pytest.mark.parametrize("seed", range(60))
def test_passages_cover_every_visible_character_in_order(seed: int) -> None:
    text = document(seed)
    size = random.Random(seed).choice([30, 80, 200, 1200])
    spans = chunk(text, size=size, overlap=size // 5)
    covered = bytearray(len(text.text))
    for span in spans:
        passage = text.text[span.start : span.end]
        assert passage == passage.strip() != ""
        assert len(passage) <= size
        assert (
            span.page is None or text.pages[span.page - 1] <= span.start < (*text.pages, len(text.text) + 1)[span.page]
        )
        covered[span.start : span.end] = b"\1" * len(passage)
    missing = [char for char, seen in zip(text.text, covered, strict=True) if not seen and not char.isspace()]
    assert missing == []
    assert [span.start for span in spans] == sorted({span.start for span in spans})
    assert [span.end for span in spans] == sorted({span.end for span in spans})


def test_a_short_text_is_one_passage_and_no_text_is_none() -> None:
    [span] = chunk(Text("t", "  Hello, 😀 world.\n"))
    assert (span.start, span.end, span.page, span.heading) == (2, 17, None, "")
    assert chunk(Text("t", "")) == chunk(Text("t", " \n\t\u00a0")) == []


def test_neighbours_share_whole_sentences() -> None:
    text = Text("t", " ".join(f"This is sentence number {number}." for number in range(200)))
    spans = chunk(text, size=300, overlap=80)
    for before, after in pairwise(spans):
        shared = text.text[after.start : before.end]
        assert 0 < len(shared) <= 80
        assert shared.startswith("This is")
        assert shared.endswith(".")
    assert all(before.end <= after.start for before, after in pairwise(chunk(text, size=300, overlap=0)))


def test_a_passage_stands_under_its_path_of_headings() -> None:
    body = "One sentence of the policy, and a second half. " * 12
    text, headings = "", []
    for level, name in [(1, "Returns"), (2, "Warranty"), (3, "Salt"), (2, "Refunds"), (1, "Parts")]:
        headings.append(Heading(len(text), level, name))
        text += f"{'#' * level} {name}\n\n" + ("" if name == "Warranty" else body + "\n\n")
    spans = chunk(Text("t", text, headings=tuple(headings)), size=300, overlap=50)
    assert list(dict.fromkeys(span.heading for span in spans)) == [
        "Returns", "Returns › Warranty › Salt", "Returns › Refunds", "Parts",
    ]  # fmt: skip
    firsts = {span.heading: text[span.start : span.end] for span in reversed(spans)}
    assert firsts["Returns › Warranty › Salt"].startswith("## Warranty\n\n### Salt\n\nOne sentence")


def test_small_sections_share_a_passage_and_large_ones_do_not() -> None:
    text, headings = "", []
    for number, count in enumerate([2, 2, 40, 40]):
        headings.append(Heading(len(text), 2, f"Part {number}"))
        text += f"## Part {number}\n\n" + "Some words here. " * count + "\n\n"
    spans = chunk(Text("t", text, headings=tuple(headings)), size=700, overlap=0)
    assert spans[0].heading == "Part 0"
    assert "Part 1" in text[spans[0].start : spans[0].end]
    assert [span.heading for span in spans][-2:] == ["Part 2", "Part 3"]


def test_a_path_that_is_too_long_keeps_its_end() -> None:
    headings = (Heading(0, 1, "W" * 280), Heading(300, 2, "N" * 100))
    [*_, span] = chunk(Text("t", "W" * 280 + " " * 20 + "N" * 100 + "\nbody text", headings=headings))
    assert len(span.heading) == 300
    assert span.heading.endswith("W › " + "N" * 100)


@pytest.mark.parametrize(
    "text", ["a" * 600_000, "word " * 120_000, "x\n" * 300_000, " " * 600_000 + "x", "e\u0301" * 300_000]
)
def test_hostile_texts_are_cut_in_time_that_grows_with_their_length(text: str) -> None:
    begun = time.monotonic()
    spans = chunk(Text("t", text))
    assert time.monotonic() - begun < 3
    assert all(span.end - span.start <= 1200 for span in spans)


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (100, 100), (100, -1)])
def test_an_overlap_that_leaves_no_way_forward_is_refused(size: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="cannot share"):
        chunk(Text("t", "words"), size=size, overlap=overlap)
