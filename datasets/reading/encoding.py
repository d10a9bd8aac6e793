"""Which encoding a text file is in. UTF-8 is proved, UTF-16 is seen by its marks, the rest is the likeliest guess."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO

from charset_normalizer import CharsetMatch, from_bytes

from .contract import Unreadable

# What text files are found in, in practice. Asked for everything, the detector answers with exotic look-alikes.
_CANDIDATES = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256",
    "koi8_r", "cp932", "euc_jp", "gb18030", "big5", "cp949",
]  # fmt: skip
_DECLARABLE = frozenset([*_CANDIDATES, "iso-8859-1", "iso-8859-2", "iso-8859-15", "windows-1250", "windows-1251",
    "windows-1252", "windows-1253", "windows-1254", "windows-1255", "windows-1256", "koi8-r", "koi8-u", "shift_jis",
    "euc-jp", "gb2312", "gbk", "euc-kr"])  # fmt: skip
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BLOCK = 2**20
_SAMPLE = 2**17
_CONTROLS = bytes({*range(0x20)} - set(b"\t\n\r\f\x1a\x1b"))
# A letter, a Latin-1 symbol, a letter: what Polish in cp1250 looks like when it is taken for cp1252.
_SYMBOL_IN_WORD = re.compile(r"[^\W\d_][\xa1-\xa9\xab-\xb4\xb6\xb8\xb9\xbb-\xbf]+[^\W\d_]")

NOT_TEXT = "This is not a text file, although its name says so: open it in the program that made it and save it as plain text in UTF-8."
UNKNOWN = "The file is not in UTF-8, and no other text encoding fits it: save it again as UTF-8."


class Encoding(NamedTuple):
    """`damaged` says that the file is UTF-8 in the main, with some bytes that are not."""

    name: str
    damaged: bool = False


def detect(path: Path, declared: str = "") -> Encoding:
    """The encoding of a text file, which is streamed. Raises Unreadable when it is binary or fits no encoding.

    What the file declares of itself is taken only where the bytes do not say better and can be read so.
    """
    with path.open("rb") as file:
        head = file.read(_SAMPLE)
        for mark, name in _MARKS:
            if head.startswith(mark):
                return Encoding(name)
        if wide := _unmarked_utf16(head):
            return Encoding(wide)
        if is_binary(head):
            raise Unreadable(NOT_TEXT)
        file.seek(0)
        sample = _first_failure(file)
    return Encoding("utf-8") if sample is None else _guess(sample, declared)


def is_binary(head: bytes) -> bool:
    """Whether more than one byte in fifty is a control character that no text holds; a handful is nothing."""
    return len(head) - len(head.translate(None, _CONTROLS)) > 4 + len(head) // 50


def open_text(path: Path, encoding: Encoding, newline: str = "") -> TextIO:
    """The file as decoded text, `newline` as in `open`. Bytes that do not decode show as U+FFFD."""
    return path.open(encoding=encoding.name, errors="replace", newline=newline)


def read_text(path: Path, limit: int, declared: str = "") -> tuple[str, Encoding]:
    """The whole file decoded, and its encoding. Raises Unreadable past `limit` characters."""
    encoding = detect(path, declared)
    with open_text(path, encoding) as file:
        text = file.read(limit + 1)
    if len(text) > limit:
        raise Unreadable(f"The text is longer than {limit:,} characters: cut it into several files.")
    return text, encoding


def _unmarked_utf16(head: bytes) -> str | None:
    """UTF-16 without its mark: every other byte of mainly Latin text is NUL."""
    even, odd = head[0:4096:2].count(0), head[1:4096:2].count(0)
    half = len(head[:4096]) // 2
    if half < 4 or even + odd < half * 0.4 or min(even, odd) * 8 > max(even, odd):
        return None
    name = "utf-16-le" if odd > even else "utf-16-be"
    return name if "\x00" not in head[: len(head) // 2 * 2].decode(name, "replace") else None


def _first_failure(file: BinaryIO) -> bytes | None:
    """None if the whole file is UTF-8, else the bytes around the first place that is not."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    before = b""
    while block := file.read(_BLOCK):
        try:
            decoder.decode(block)
        except UnicodeDecodeError as error:
            at = len(before) + max(error.start, 0)
            return (before + block)[max(0, at - _SAMPLE) : at + _SAMPLE]
        before = block[-_SAMPLE:]
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return before
    return None


def _guess(sample: bytes, declared: str) -> Encoding:
    """The likeliest encoding of bytes that are not UTF-8."""
    if declared in _DECLARABLE and "\ufffd" not in sample.decode(declared, "replace"):
        return Encoding(declared)
    decoded = sample.decode("utf-8", "replace")
    wrong = decoded.count("\ufffd")
    if sum(char > "\x7f" for char in decoded) - wrong >= 4 * wrong:
        return Encoding("utf-8", damaged=True)
    matches = from_bytes(sample, cp_isolation=_CANDIDATES)
    if not matches:
        raise Unreadable(UNKNOWN)
    best = min(matches, key=_unlikeliness)
    return Encoding("cp1252" if "cp1252" in best.could_be_from_charset else best.encoding)


def _unlikeliness(match: CharsetMatch) -> tuple[float, bool, float, bool]:
    """Sorts by how garbled the text looks, then by how much like a language; equals go to Western European."""
    garbled = bool(_SYMBOL_IN_WORD.search(str(match)))
    return round(match.chaos, 2), garbled, -match.coherence, match.encoding != "cp1252"
