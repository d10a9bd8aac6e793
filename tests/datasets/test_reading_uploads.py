"""What an upload is, whatever its name says; and the process in which hostile files are read."""

from __future__ import annotations

import json
import time
from pathlib import Path

import psutil
import pytest

from datasets.reading import Problem, ReadOptions, Text, Unreadable, read
from datasets.reading.clean import title_of_file
from tests.datasets.reading_files import OLE, PNG, body, found_in, gzip_bytes, pdf, text_of, word

WORDS = b"Only some words, nothing else.\n"
ZIP = b"PK\x03\x04" + b"\0" * 26 + b"holiday.jpg" + b"\0" * 200


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.pdf", b"", r"The file is empty: .*upload it again"),
        ("a.txt", b" \n\n", r"no text in the file"),
        ("a.txt", pdf([body(["x"])]), r"ends in \.txt but the file is a PDF: rename it to \.pdf"),
        ("a", pdf([body(["x"])]), r"has no ending but the file is a PDF"),
        ("a.pdf", ZIP, r"ends in \.pdf but this is an archive.*unpack it"),
        ("a.docx", PNG, r"ends in \.docx but this is a picture.*OCR"),
        ("a.png", PNG, r"This is a picture, which is not read: .*OCR"),
        ("a.pdf", WORDS, r"ends in \.pdf but the file is not a PDF"),
        ("a.rtf", WORDS, r"ends in \.rtf but the file is not an RTF"),
        ("a.txt", rb"{\rtf1 words}", r"the file is an RTF document: rename it to \.rtf"),
        ("a.md", b"<!DOCTYPE html><p>x", r"the file is an HTML page: rename it to \.html"),
        ("a.doc", OLE, r"an old Word document \(\.doc\), which is not read: save it as DOCX or PDF"),
        ("a.docx", OLE, r"ends in \.docx but this is an old Word document"),
        ("a.docx", OLE + "EncryptedPackage".encode("utf-16-le"), r"locked with a password.*remove the password"),
        ("a.doc", rb"{\rtf1 words}", r"ends in \.doc but the file is an RTF document: rename it to \.rtf"),
        ("a.wpd", b"\xffWPC" + b"\x10" * 90, r"a WordPerfect document, which is not read: save it as DOCX or PDF"),
        ("a.wpd", WORDS, r"a WordPerfect document"),
        ("a.odt", ZIP.replace(b"holiday.jpg", b"mimetypeapplication/vnd.oasis.opendocument.text"), r"an OpenDocument file.*DOCX or PDF"),
        ("a.xlsx", ZIP.replace(b"holiday.jpg", b"xl/workbook.xml"), r"a spreadsheet.*save the sheet as CSV"),
        ("a.zip", ZIP, r"an archive, which is not read: unpack it"),
        ("a.txt", gzip_bytes(5_000), r"but this is an archive"),
        ("a.json", b"{}", r"a JSON file, which is not read: write it as JSONL"),
        ("a.exe", b"MZ\x90\x00" + b"\0" * 90, r"a program"),
        ("a.xyz", WORDS, r"Files that end in \.xyz are not read: upload PDF, DOCX"),
        ("letter", WORDS, r"The name has no ending that says what the file is: upload PDF"),
    ],
)  # fmt: skip
def test_each_unfit_upload_has_its_own_sentence(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=sentence) as refused:
        found_in(path)
    assert refused.value.sentence.endswith(".")
    assert "\n" not in refused.value.sentence


def test_a_file_over_the_limit_is_to_be_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 3_000_000)
    with pytest.raises(Unreadable, match="The file is 3 MB, and the limit is 2 MB: cut it"):
        found_in(path, max_bytes=2_000_000)


def test_text_that_speaks_of_pdf_is_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"A PDF begins with %PDF-1.7 and ends with %%EOF.\n")
    assert text_of(path).text.startswith("A PDF begins")


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("../../etc/passwd.txt", "passwd"),
        ("C:\\Users\\me\\My_big   file.v2.pdf", "My big file.v2"),
        ("<script>\x00\x1b[31m.md", "<script>[31m"),
        (".txt", ".txt"),
        ("\ud800\x07", "\ufffd"),
        ("", "Untitled"),
        ("x" * 5_000 + ".txt", "x" * 299 + "…"),
    ],
)
def test_a_hostile_file_name_becomes_a_title_at_most(name: str, title: str) -> None:
    assert title_of_file(name) == title


def test_the_name_is_never_used_as_a_path(tmp_path: Path) -> None:
    path = tmp_path / "4c1f"
    path.write_bytes(WORDS)
    [text] = read(path, "../../../no/such/folder/words.txt")
    assert isinstance(text, Text)
    assert text.title == "words"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"row {number} " * 200}) for number in range(1_000)) + "\nbroken")
    return path


def children() -> list[psutil.Process]:
    """Those that run: a dead one may wait for a moment to be buried."""
    found = psutil.Process().children(recursive=True)
    return [child for child in found if child.status() != psutil.STATUS_ZOMBIE]


def test_a_file_is_read_in_another_process_with_the_same_result(tmp_path: Path) -> None:
    path = word(tmp_path / "a.docx", lambda document: document.add_heading("Hello 😀", level=2))
    assert list(read(path, path.name)) == found_in(path)


def test_rows_stream_through_and_problems_come_in_order(rows: Path) -> None:
    found = list(read(rows, rows.name))
    assert len(found) == 1_001
    assert isinstance(found[-1], Problem)
    assert found[-1].where == "line 1001"


def test_a_reader_that_is_left_early_leaves_no_process(rows: Path) -> None:
    before = set(children())
    reading = read(rows, rows.name)
    next(reading)
    [child] = set(children()) - before
    reading.close()
    assert not child.is_running()


def test_a_reader_that_dies_is_a_sentence_and_no_crash(rows: Path) -> None:
    before = set(children())
    reading = read(rows, rows.name)
    next(reading)
    [child] = set(children()) - before
    child.kill()
    with pytest.raises(Unreadable, match="broke the program that reads it"):
        list(reading)


def test_a_file_that_never_ends_to_be_read_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "deep.html"
    path.write_text("<html>" + "<div>" * 400_000)
    begun = time.monotonic()
    with pytest.raises(Unreadable, match="took longer than 1 s and was stopped"):
        list(read(path, path.name, ReadOptions(seconds=1)))
    assert time.monotonic() - begun < 5
    assert not [child for child in children() if "datasets.reading" in " ".join(child.cmdline())]


def test_a_file_that_eats_memory_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": "x" * 20_000_000}))
    with pytest.raises(Unreadable, match=r"needs more than \d+ MB of memory: cut it"):
        list(read(path, path.name, ReadOptions(max_memory=110_000_000, max_chars=30_000_000)))
