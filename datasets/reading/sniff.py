"""What a file is, by its first bytes and its name: the two must agree, and each disagreement has its own sentence."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from .contract import Unreadable

SUFFIXES: dict[str, str] = {
    ".pdf": "pdf",
    ".docx": "docx",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".text": "text",
    ".rtf": "rtf",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
READABLE = "PDF, DOCX, HTML, Markdown, TXT, RTF, CSV, TSV or JSONL"

_TO_DOCUMENT = "save it as DOCX or PDF and upload that"
_TO_ROWS = "save the sheet as CSV and upload that"
_TO_PDF = "save it as PDF and upload that"
_TO_TEXT = "run text recognition (OCR) on it and upload the PDF or text that comes out"
_UNPACK = "unpack it and upload the files that are inside"
_TO_JSONL = "write it as JSONL, one object a line, and upload that"
_WRITE_DOWN = "write down what it says and upload the text"


class Foreign(NamedTuple):
    """A kind of file that is not read: its name with an article, and what to do instead."""

    label: str
    mend: str


OLD_WORD = Foreign("an old Word document (.doc)", _TO_DOCUMENT)
WORD_PERFECT = Foreign("a WordPerfect document", _TO_DOCUMENT)
OPEN_DOCUMENT = Foreign("an OpenDocument file", _TO_DOCUMENT)
SPREADSHEET = Foreign("a spreadsheet", _TO_ROWS)
SLIDES = Foreign("a slide show", _TO_PDF)
E_BOOK = Foreign("an e-book", _TO_PDF)
PICTURE = Foreign("a picture", _TO_TEXT)
ARCHIVE = Foreign("an archive", _UNPACK)
RECORDING = Foreign("a sound or video recording", _WRITE_DOWN)
JSON_FILE = Foreign("a JSON file", _TO_JSONL)
PARQUET = Foreign("a Parquet table", _TO_JSONL)
DATABASE = Foreign("a database file", _TO_JSONL)
PROGRAM = Foreign("a program", "upload documents only")
ENCRYPTED_OFFICE = Foreign(
    "a document locked with a password", "open it, remove the password, save it and upload it again"
)

FOREIGN_SUFFIXES: dict[str, Foreign] = {
    **dict.fromkeys([".doc", ".dot"], OLD_WORD),
    **dict.fromkeys([".wpd", ".wp", ".wp5"], WORD_PERFECT),
    **dict.fromkeys([".odt", ".ott", ".fodt"], OPEN_DOCUMENT),
    **dict.fromkeys([".pages", ".wps", ".docm", ".dotx"], Foreign("a word processor's file", _TO_DOCUMENT)),
    **dict.fromkeys([".xls", ".xlsx", ".xlsm", ".ods", ".numbers"], SPREADSHEET),
    **dict.fromkeys([".ppt", ".pptx", ".odp", ".key"], SLIDES),
    **dict.fromkeys([".epub", ".mobi", ".azw3"], E_BOOK),
    **dict.fromkeys([".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".webp", ".bmp", ".heic", ".svg"], PICTURE),
    **dict.fromkeys([".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".7z", ".rar", ".zst"], ARCHIVE),
    **dict.fromkeys([".mp3", ".wav", ".m4a", ".ogg", ".mp4", ".mov", ".mkv", ".webm", ".avi"], RECORDING),
    **dict.fromkeys([".eml", ".msg", ".mht", ".mhtml"], Foreign("a saved message or web archive", _TO_PDF)),
    ".json": JSON_FILE,
    ".parquet": PARQUET,
    ".sqlite": DATABASE,
}

_MAGIC: tuple[tuple[bytes, Foreign], ...] = (
    (b"\xffWPC", WORD_PERFECT),
    (b"\x89PNG\r\n\x1a\n", PICTURE),
    (b"\xff\xd8\xff", PICTURE),
    (b"GIF8", PICTURE),
    (b"II*\x00", PICTURE),
    (b"MM\x00*", PICTURE),
    (b"\x1f\x8b\x08", ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", ARCHIVE),
    (b"Rar!\x1a\x07", ARCHIVE),
    (b"BZh", ARCHIVE),
    (b"\xfd7zXZ\x00", ARCHIVE),
    (b"\x28\xb5\x2f\xfd", ARCHIVE),
    (b"PAR1", PARQUET),
    (b"SQLite format 3\x00", DATABASE),
    (b"\x7fELF", PROGRAM),
    (b"MZ\x90\x00", PROGRAM),
    (b"ID3", RECORDING),
    (b"OggS", RECORDING),
)
_PDF = re.compile(rb"(?:\A|[\r\n])\s*%PDF-\d")  # some programs put a line before it
_HEAD = 2**20
_TAIL = 2**18


def recognise(path: Path, name: str, max_bytes: int) -> str:
    """The format of the file, a value of `SUFFIXES`. `name` is the uploader's word and decides nothing by itself.

    Raises Unreadable for an empty or too large file, one that is not read at all, and one whose name lies.
    """
    size = path.stat().st_size
    if size == 0:
        raise Unreadable("The file is empty: check that it was saved, and upload it again.")
    if size > max_bytes:
        raise Unreadable(
            f"The file is {size / 1e6:,.0f} MB, and the limit is {max_bytes / 1e6:,.0f} MB: cut it into smaller files."
        )
    suffix = os.path.splitext(name)[1].lower()
    found = content_kind(path)
    if isinstance(found, Foreign):
        raise Unreadable(_refusal(found, suffix))
    return _agree(found, suffix)


def content_kind(path: Path) -> str | Foreign | None:
    """What the bytes show: a format that can only be itself, a foreign kind, or None for what may be any text."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        file.seek(max(0, path.stat().st_size - _TAIL))
        tail = file.read()
    if _PDF.search(head[:1024]):
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_kind(head[:4096] + tail)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _ole_kind(head + tail)
    if head.lstrip().startswith(b"{\\rtf"):
        return "rtf"
    opening = head[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if opening.startswith((b"<!doctype html", b"<html")):
        return "html"
    return _foreign(head)


def _foreign(head: bytes) -> Foreign | None:
    if head[4:8] == b"ftyp":
        return PICTURE if head[8:12] in (b"heic", b"heix", b"avif", b"mif1") else RECORDING
    if head.startswith(b"RIFF") and head[8:12] in (b"WEBP", b"WAVE", b"AVI "):
        return PICTURE if head[8:12] == b"WEBP" else RECORDING
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


def _zip_kind(listing: bytes) -> str | Foreign:
    """Office files are archives with tell-tale names in them; the bytes are searched, nothing is unpacked."""
    if b"word/document" in listing:
        return "docx"
    if b"xl/workbook" in listing or b"opendocument.spreadsheet" in listing:
        return SPREADSHEET
    if b"ppt/presentation" in listing or b"opendocument.presentation" in listing:
        return SLIDES
    if b"opendocument.text" in listing:
        return OPEN_DOCUMENT
    if b"application/epub+zip" in listing:
        return E_BOOK
    return "docx" if b"[Content_Types].xml" in listing and b"word/" in listing else ARCHIVE


def _ole_kind(content: bytes) -> Foreign:
    def holds(stream: str) -> bool:
        return stream.encode("utf-16-le") in content

    if holds("EncryptedPackage"):
        return ENCRYPTED_OFFICE
    if holds("Workbook") or holds("Book"):
        return SPREADSHEET
    return SLIDES if holds("PowerPoint Document") else OLD_WORD


def _refusal(found: Foreign, suffix: str) -> str:
    if FOREIGN_SUFFIXES.get(suffix) == found or found is ENCRYPTED_OFFICE or not suffix:
        return f"This is {found.label}, which is not read: {found.mend}."
    return f"The name ends in {_shown(suffix)} but this is {found.label}, which is not read: {found.mend}."


def _agree(found: str | None, suffix: str) -> str:
    """The format, if content and name agree on one."""
    named = SUFFIXES.get(suffix)
    if found and found != named:
        end = f"ends in {_shown(suffix)}" if suffix else "has no ending"
        raise Unreadable(
            f"The name {end} but the file is {_LABELS[found]}: rename it to .{_SUFFIX_OF[found]} and upload it again."
        )
    if named in _SELF_EVIDENT and found is None:
        raise Unreadable(
            f"The name ends in {suffix} but the file is not {_LABELS[named]}, or its beginning is lost: "
            "save it again from the program that made it."
        )
    if named:
        return named
    if foreign := FOREIGN_SUFFIXES.get(suffix):
        raise Unreadable(f"This is {foreign.label}, which is not read: {foreign.mend}.")
    what = (
        f"Files that end in {_shown(suffix)} are not read"
        if suffix
        else "The name has no ending that says what the file is"
    )
    raise Unreadable(f"{what}: upload {READABLE}.")


def _shown(suffix: str) -> str:
    """A file ending as it can stand in a sentence, whatever the uploader put there."""
    return "".join(char for char in suffix if char.isprintable())[:12]


_SELF_EVIDENT = ("pdf", "docx", "rtf")
_LABELS = {"pdf": "a PDF", "docx": "a DOCX document", "rtf": "an RTF document", "html": "an HTML page"}
_SUFFIX_OF = {"pdf": "pdf", "docx": "docx", "rtf": "rtf", "html": "html"}
