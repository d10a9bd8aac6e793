"""HTML, Markdown, plain text and RTF, in whatever encoding they come."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.reading import Unreadable, chunk
from tests.datasets.reading_files import found_in, problems_of, text_of

FRENCH = "La garantie est de deux années : prêt à l’emploi, où que vous soyez, même à Noël.\n"
RUSSIAN = "Гарантия на метеостанцию составляет два года. Обратитесь в службу поддержки.\n"
JAPANESE = "保証期間は購入日から二年間です。お問い合わせはサポートセンターまでお願いします。\n"
POLISH = "Gwarancja na stację pogodową obowiązuje dwa lata. Żeby zgłosić usterkę, skontaktuj się z działem.\n"

PAGE = """<!doctype html><html lang="en"><head><title>Error &amp; codes</title><style>p {}</style></head><body>
<nav>Home | Contact</nav><script>alert("no")</script>
<main><h1>Codes</h1><p>One
 paragraph with <b>bold</b> words<br>and a break.</p>
<ul><li>First<li>Second <a href="x">link</a><ol><li>Deep</ol></ul>
<table><tr><th>Code<th>Meaning</tr><tr><td>E01<td>No <i>signal</i></tr></table>
<h2>More</h2><pre>  line 1
  line 2</pre><div hidden>unseen</div></main><footer>Imprint</footer></body></html>"""


@pytest.fixture
def txt(tmp_path: Path) -> Path:
    return tmp_path / "notes.txt"


def test_a_page_keeps_its_blocks_and_loses_what_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "codes.html"
    path.write_text(PAGE)
    text = text_of(path)
    assert text.title == "Error & codes"
    assert text.metadata == {"language": "en"}
    assert text.text == (
        "# Codes\n\nOne paragraph with bold words\nand a break.\n\n- First\n- Second link\n  1. Deep\n\n"
        "| Code | Meaning |\n| --- | --- |\n| E01 | No signal |\n\n## More\n\n  line 1\n  line 2"
    )
    assert [text.text[heading.offset :].split("\n")[0] for heading in text.headings] == ["# Codes", "## More"]


def test_a_layout_table_is_read_as_running_text(tmp_path: Path) -> None:
    path = tmp_path / "old.htm"
    path.write_text("<html><table><tr><td><h1>Hello</h1><p>One</p><p>Two</p></td></tr></table></html>")
    assert text_of(path).text == "# Hello\n\nOne\n\nTwo"


def test_a_page_in_the_encoding_that_it_names(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(f'<html><meta charset="windows-1251"><p>{RUSSIAN[:9]}</p></html>'.encode("cp1251"))
    assert text_of(path).text == RUSSIAN[:8]


def test_headings_of_markdown_are_not_looked_for_in_code(tmp_path: Path) -> None:
    path = tmp_path / "guide.md"
    path.write_text(
        "---\ntitle: The *guide*\ndate: 2024-05-01\n---\n# Setup `now`\n\n```sh\n# not a heading\n```\n\n"
        "Second [part](x)\n---\n\n    # nor this\n\n> # nor quoted\n\n## Café 😀 **bold**\ntext\n"
    )
    text = text_of(path)
    assert [(heading.level, heading.text) for heading in text.headings] == [
        (1, "Setup now"), (2, "Second part"), (2, "Café 😀 bold"),
    ]  # fmt: skip
    assert text.text[text.headings[2].offset :].startswith("## Café 😀")
    assert text.title == "The *guide*"
    assert text.metadata == {"date": "2024-05-01"}
    assert text.text.startswith("# Setup `now`\n\n```sh\n# not a heading")


@pytest.mark.parametrize(
    ("words", "encoding"),
    [
        (FRENCH, "latin-1"), (FRENCH, "cp1252"), (RUSSIAN, "cp1251"), (RUSSIAN, "koi8_r"), (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"), (POLISH, "cp1250"), (FRENCH, "utf-16"), (RUSSIAN, "utf-16-le"), (FRENCH, "utf-16-le"),
        (FRENCH, "utf-16-be"), (JAPANESE, "utf-8-sig"), (RUSSIAN, "utf-32"), ("Café\n", "latin-1"),
    ],
)  # fmt: skip
def test_encodings_are_detected(txt: Path, words: str, encoding: str) -> None:
    if encoding == "latin-1":
        words = words.replace("’", "'")
    if encoding == "utf-16-le" and words == RUSSIAN:
        words = "\ufeff" + words
    txt.write_bytes(words.encode(encoding))
    assert text_of(txt).text == words.strip("\ufeff\n")


def test_an_encoding_that_shows_late_in_a_long_file_is_detected(txt: Path) -> None:
    txt.write_bytes(b"plain ascii words\n" * 120_000 + FRENCH.encode("cp1252"))
    assert text_of(txt).text.endswith(FRENCH.strip())


def test_a_file_that_no_encoding_fits_is_refused(txt: Path) -> None:
    noise = bytes((number * 73 + number // 7 * 31) % 223 + 32 for number in range(20_000))
    txt.write_bytes(noise)
    with pytest.raises(Unreadable, match="no other text encoding fits it: save it again as UTF-8"):
        found_in(txt)


def test_broken_bytes_in_utf_8_are_told_and_cost_nothing_else(txt: Path) -> None:
    txt.write_bytes((RUSSIAN * 3).encode() + b"\xff\n" + RUSSIAN.encode())
    [problem] = problems_of(txt)
    assert "not UTF-8" in problem.sentence
    assert text_of(txt).text.count("Гарантия") == 4


def test_stray_nul_bytes_are_removed_and_binary_is_refused(txt: Path) -> None:
    txt.write_bytes(b"before\0after " * 1 + b"many more words that are only text " * 10)
    assert text_of(txt).text.startswith("beforeafter many")
    txt.write_bytes(b"\x00\x01\x02\x03 words" * 100)
    with pytest.raises(Unreadable, match="not a text file"):
        found_in(txt)


def test_text_is_cleaned_of_what_a_database_cannot_store(txt: Path) -> None:
    txt.write_bytes("one\x07\x1b[0m\x7f\r\ntwo\u2028three\ufeff\ufffe\u0085four \U0001f600".encode())
    text = text_of(txt).text
    assert text == "one[0m\ntwo\nthree\nfour 😀"
    assert text.encode("utf-8")


def test_a_print_with_page_breaks_has_pages_and_running_text(txt: Path) -> None:
    firsts = [
        "The editor writes of the weather in the whole county",
        "The reader answers that he knew about the weather",
    ]
    seconds = ["and of the pressure, which fell in the night be-", "and that it was no use to look at the baro-"]
    thirds = ["fore the storm.", "meter."]
    page = "{}              THE HARROW GAZETTE\n\n   {}\n{}\n{}\n"
    txt.write_text("\f".join(map(page.format, (1, 2), firsts, seconds, thirds)))
    text = text_of(txt)
    assert text.text == (
        "The editor writes of the weather in the whole county and of the pressure, which fell in the night before the "
        "storm.\n\nThe reader answers that he knew about the weather and that it was no use to look at the barometer."
    )
    assert text.pages == (0, text.text.index("The reader"))


def test_plain_text_keeps_its_lines_and_gives_its_headings(txt: Path) -> None:
    txt.write_text(
        "Battery guide\n\nThe mast\n\nIt runs on two cells, and they last for years and years.\n  indented\n\n\n\nlast\n"
    )
    text = text_of(txt)
    assert text.title == "Battery guide"
    assert [heading.text for heading in text.headings] == ["Battery guide", "The mast"]
    assert text.text.endswith("years.\n  indented\n\nlast")


def test_rtf_is_read_with_its_escapes_and_tables(tmp_path: Path) -> None:
    path = tmp_path / "letter.rtf"
    path.write_bytes(
        rb"{\rtf1\ansi\ansicpg1251{\info{\title The letter}}{\b Head}\par \'cf\'f0\'e8 \u233? \u-10179?\u-8704?\par "
        rb"\trowd a\cell b\cell\row c\cell d\cell\row\pard end\par}"
    )
    text = text_of(path)
    assert text.title == "The letter"
    assert text.text == "Head\n\nПри é 😀\n\na|b|\nc|d|\n\nend"


def test_rtf_that_is_cut_off_is_read_and_told(tmp_path: Path) -> None:
    path = tmp_path / "letter.rtf"
    path.write_bytes(rb"{\rtf1\ansi The words that came through\par and then")
    [problem] = problems_of(path)
    assert "cut off" in problem.sentence
    assert text_of(path).text.startswith("The words that came through")


@pytest.mark.parametrize("name", ["a.md", "a.txt", "a.html"])
def test_a_text_over_the_limit_is_to_be_cut(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("<p>word</p> " * 1000)
    with pytest.raises(Unreadable, match="longer than 5,000 characters: cut it"):
        found_in(path, max_chars=5_000)


def test_a_page_that_nests_too_deeply_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.html"
    path.write_text("<html>" + "<div>" * 3_000 + "x")
    with pytest.raises(Unreadable, match="nests its elements too deeply"):
        found_in(path)


def test_passages_of_markdown_carry_the_path_of_their_headings(tmp_path: Path) -> None:
    path = tmp_path / "policy.md"
    path.write_text("# Returns\n\n" + "Forty-five days. " * 20 + "\n\n## Warranty\n\n" + "Three years. " * 40)
    spans = chunk(text_of(path), size=300, overlap=40)
    assert {span.heading for span in spans} == {"Returns", "Returns › Warranty"}
