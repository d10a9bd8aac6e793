"""CSV, TSV and JSONL: each row a document, a bad row a problem that costs nothing else."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from datasets.reading import ReadOptions, Text, Unreadable, peek_columns, read_here
from tests.datasets.reading_files import found_in, problems_of, text_of, texts_of


def jsonl(tmp_path: Path, *lines: object) -> Path:
    """A JSONL file of objects, and of strings as they are."""
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def csv(tmp_path: Path, content: str, name: str = "rows.csv") -> Path:
    path = tmp_path / name
    path.write_text(content, newline="")
    return path


def test_a_row_is_a_document_with_title_id_and_the_other_keys(tmp_path: Path) -> None:
    rows = [
        {"id": 7, "title": "One\ntitle", "text": "First text.", "tags": ["a", 1], "n": None},
        {"text": "Second text."},
    ]
    first, second = texts_of(jsonl(tmp_path, *rows))
    assert (first.key, first.title, first.text) == ("7", "One title", "First text.")
    assert first.metadata == {"id": 7, "tags": ["a", 1], "n": None}
    assert (second.key, second.title) == ("line 2", "rows, line 2")


def test_the_longest_text_is_taken_where_no_key_has_a_usual_name(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"short": "abc", "judgment": "A long text about a case.", "size": 100_000})
    assert text_of(path).text == "A long text about a case."


def test_the_key_that_a_person_chose_is_taken(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"text": "Not this.", "summary": "This one.", "name": "x", "ref": "r1"})
    text = text_of(path, content_key="summary", title_key="ref", id_key="name")
    assert (text.text, text.title, text.key) == ("This one.", "r1", "x")


def test_bad_lines_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path,
        {"text": "good"},
        "not json",
        '["a", "list"]',
        {"body": "no key"},
        {"text": ["a"]},
        {"text": "  "},
        {"text": 5},
        "",
        "[" * 100_000,
        '{"text": "deep", "n": ' + "9" * 5_000 + "}",
        {"text": "also good"},
    )
    assert [text.key for text in texts_of(path)] == ["line 1", "line 11"]
    said = {problem.where: problem.sentence for problem in problems_of(path)}
    assert list(said) == [f"line {number}" for number in (2, 3, 4, 5, 6, 7, 9, 10)]
    assert said["line 2"].startswith("It is not JSON (Expecting value at character 1)")
    assert "no object" in said["line 3"]
    assert said["line 4"] == "There is no “text” (there are body): add it or pick another."
    assert "holds a list and no text" in said["line 5"]
    assert "is empty" in said["line 6"]
    assert "holds a number" in said["line 7"]
    assert "nested too deeply" in said["line 9"]
    assert "number that is too long" in said["line 10"]


def test_a_file_without_any_good_row_is_refused_with_the_first_reason(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"Nothing in the file could be read. Line 1: There is no “body”"):
        found_in(jsonl(tmp_path, {"text": "a"}, {"text": "b"}), content_key="body")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('[{"text": "a"}, {"text": "b"}]', "one JSON list: write each of its objects on a line"),
        ('[\n{"text": "a"}\n]', "one JSON list"),
        ('{\n  "text": "a"\n}', "written over many lines"),
    ],
)
def test_json_that_is_not_line_by_line_is_told_how_to_be(tmp_path: Path, content: str, sentence: str) -> None:
    with pytest.raises(Unreadable, match=sentence):
        found_in(jsonl(tmp_path, content))


def test_nothing_that_a_database_cannot_store_comes_out(tmp_path: Path) -> None:
    line = '{"id": "a\\u0000b", "text": "x\\ud83d\\ude00\\ud800y\\u0000z", "k\\udfff": "\\u0000v", "bad": NaN, "worse": [1e999]}'
    text = text_of(jsonl(tmp_path, line))
    assert text.text == "x😀\ufffdyz"
    assert text.key == "ab"
    assert text.metadata == {"id": "ab", "k\ufffd": "v", "bad": None, "worse": [None]}
    json.dumps(text.metadata, allow_nan=False).encode("utf-8")


def test_ids_that_come_twice_are_told_apart(tmp_path: Path) -> None:
    keys = [
        text.key
        for text in texts_of(jsonl(tmp_path, *[{"id": "x", "text": "words"}] * 3, {"id": "y" * 500, "text": "w"}))
    ]
    assert keys[:3] == ["x", "x (line 2)", "x (line 3)"]
    assert len(keys[3]) <= 200
    assert len(set(keys)) == 4


def test_a_line_over_the_limit_is_skipped_and_the_next_one_read(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"text": "a"}, {"text": "b" * 50_000}, {"text": "c" * 1_500}, {"text": "d"})
    assert [text.text for text in texts_of(path, max_chars=1_000)] == ["a", "d"]
    assert ["longer than" in problem.sentence for problem in problems_of(path, max_chars=1_000)] == [True, True]


def test_a_long_file_is_never_held_in_memory(tmp_path: Path) -> None:
    path = jsonl(tmp_path, *[{"id": number, "text": "word " * 8_000} for number in range(250)])
    assert path.stat().st_size > 9_000_000
    tracemalloc.start()
    count = sum(isinstance(found, Text) for found in read_here(path, path.name, ReadOptions()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 250
    assert peak < 5_000_000


def test_progress_grows_to_the_whole_file(tmp_path: Path) -> None:
    shares = [text.share for text in texts_of(jsonl(tmp_path, *[{"text": "word " * 500}] * 60))]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] == 1.0


def test_a_row_that_is_html_is_read_as_a_page(tmp_path: Path) -> None:
    text = text_of(
        jsonl(tmp_path, {"text": "<div><h2>Held</h2><p>The <i>court</i> agrees.</p><script>x()</script></div>"})
    )
    assert text.text == "## Held\n\nThe court agrees."
    assert text.headings[0].text == "Held"


def test_a_row_that_cannot_be_laid_out_or_shows_nothing_is_named(tmp_path: Path) -> None:
    deep, blank = "<div>" * 3_000 + "</div>", "<div><script>x()</script></div>"
    path = jsonl(tmp_path, {"text": deep}, {"text": blank}, {"text": "\u0000\u0007"}, {"text": "good"})
    assert text_of(path).key == "line 4"
    assert ["too deeply" in said.sentence or "shows no text" in said.sentence for said in problems_of(path)] == [
        True
    ] * 3


def test_a_row_that_was_printed_has_pages_and_whole_words(tmp_path: Path) -> None:
    text = text_of(
        jsonl(tmp_path, {"text": "It is the expropri\u00ad\nation that matters to the\fcourt of ap-\npeals."})
    )
    assert text.text == "It is the expropriation that matters to the court of appeals."
    assert text.pages == (0, text.text.index("court"))


def test_a_table_has_named_columns_and_quoted_cells(tmp_path: Path) -> None:
    path = csv(
        tmp_path,
        'id,question,answer,topic\r\n1,"How, then?","Like ""this"",\nin two lines.",a\r\n\r\n2,Why?,Because.\r\n',
    )
    first, second = texts_of(path)
    assert (first.key, first.title, first.text) == ("1", "How, then?", 'Like "this",\nin two lines.')
    assert first.metadata == {"id": "1", "topic": "a"}
    assert second.metadata == {"id": "2", "topic": ""}


@pytest.mark.parametrize(("sign", "name"), [(";", "a.csv"), ("\t", "a.csv"), ("|", "a.csv"), ("\t", "a.tsv")])
def test_other_delimiters_are_found(tmp_path: Path, sign: str, name: str) -> None:
    rows = [["title", "text"], ["One, two", "a, b, c and, well, d"], ["Three", "e"]]
    path = csv(tmp_path, "\n".join(sign.join(row) for row in rows), name)
    assert [(text.title, text.text) for text in texts_of(path)] == [
        ("One, two", "a, b, c and, well, d"),
        ("Three", "e"),
    ]


def test_bad_rows_of_a_table_are_named(tmp_path: Path) -> None:
    path = csv(tmp_path, 'title,text\na,good\nb,one,two\nc,"wrong "quotes" here"\nd,\ne,good too\n')
    assert [text.title for text in texts_of(path)] == ["a", "e"]
    said = {problem.where: problem.sentence for problem in problems_of(path)}
    assert "3 cells, and there are 2 columns" in said["row 3"]
    assert "quotes do not match" in said["row 4"]
    assert "“text” is empty" in said["row 5"]


def test_a_column_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"There is no column “body” \(there are title, text\): pick another"):
        found_in(csv(tmp_path, "title,text\na,b\n"), column="body")


def test_a_table_of_numbers_has_no_text(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="There are no rows"):
        found_in(csv(tmp_path, "text,title\n"))
    with pytest.raises(Unreadable, match="names no columns"):
        found_in(csv(tmp_path, ",,\n1,2,3\n"))


def test_a_quote_that_never_ends_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = csv(tmp_path, 'title,text\na,good\nb,"never ends\n' + "x,y\n" * 2_000)
    assert texts_of(path, max_chars=5_000)[0].title == "a"
    assert problems_of(path, max_chars=5_000)[0].where == "row 3"


def test_columns_can_be_looked_at_before_one_is_picked(tmp_path: Path) -> None:
    table = csv(tmp_path, "id;;Text;Text\n1;2;3;4\n")
    assert peek_columns(table, "sheet.csv") == ["id", "column 2", "Text", "Text (4)"]
    assert peek_columns(jsonl(tmp_path, {"a": 1}, "broken", {"b": 2}), "x.jsonl") == ["a", "b"]
    (tmp_path / "x.md").write_text("# Hello")
    assert peek_columns(tmp_path / "x.md", "x.md") == []


def test_a_table_in_another_encoding_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("title;text\nGröße;Die Maße der Geräte für draußen\n".encode("cp1252"))
    assert text_of(path).title == "Größe"
    path.write_bytes("title,text\nGröße,Maße\n".encode("utf-16"))
    assert text_of(path).text == "Maße"


def test_a_row_keeps_the_id_that_it_has_where_it_comes_from(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"id": 1, "ref": "r-7", "text": "a"}, {"id": 2, "ref": "r-7", "text": "b"}, {"text": "c"})
    assert [(text.key, text.external_id) for text in texts_of(path)] == [("1", "1"), ("2", "2"), ("line 3", "")]
    chosen = texts_of(path, id_key="ref")
    assert [(text.key, text.external_id) for text in chosen] == [
        ("r-7", "r-7"),
        ("r-7 (line 2)", "r-7"),
        ("line 3", ""),
    ]


def test_the_other_keys_are_kept_or_left_out_as_a_person_chose(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"id": 1, "title": "One", "text": "a", "rubric": {"depth": [1, 2]}, "court": "scotus"})
    assert text_of(path).metadata == {"id": 1, "rubric": {"depth": [1, 2]}, "court": "scotus"}
    bare = text_of(path, keep_others=False)
    assert (bare.metadata, bare.key, bare.title) == ({}, "1", "One")


def test_a_chosen_key_that_no_row_has_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"There is no “case” \(there are id, text\): pick another"):
        found_in(jsonl(tmp_path, {"id": 1, "text": "a"}), id_key="case")
