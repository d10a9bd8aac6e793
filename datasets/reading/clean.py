"""Characters that a database cannot store or a reader cannot see are taken out before any offset is counted."""

from __future__ import annotations

import hashlib
import math
import re

from .contract import JSON, MAX_KEY, MAX_TITLE

# Controls, byte-order marks and non-characters. Tab, newline, form feed (a page break) and soft hyphen stay for now.
_UNPRINTABLE = "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufff9-\ufffb\ufffe\uffff"
_NEWLINES = "\r\x0b\x85\u2028\u2029"
_NEWLINE = re.compile(f"\r\n?|[{_NEWLINES}]")
_ODD = re.compile(f"[{_UNPRINTABLE}{_NEWLINES}\ud800-\udfff]")
_GONE = re.compile(f"[{_UNPRINTABLE}]")
_SPACES = re.compile(r"[^\S\n]+")


def clean(text: str) -> str:
    """Text that PostgreSQL can store: newlines are \\n, surrogates paired or replaced, control characters gone."""
    # Most text needs no change, and two looks at it are much faster than three changes that change nothing.
    if text.replace("\n", "").replace("\t", "").isprintable() or not _ODD.search(text):
        return text
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _GONE.sub("", _NEWLINE.sub("\n", text))


def one_line(text: str) -> str:
    """`text` with every run of white space made one space."""
    return " ".join(clean(text).replace("\xad", "").split())


def tidy(text: str) -> str:
    """Clean text whose layout is kept: no soft hyphens, no page breaks, no trailing space, one blank line at a time."""
    text = text.replace("\xad", "").replace("\f", "\n\n")
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.strip("\n")


def squeeze(text: str) -> str:
    """Runs of spaces and tabs made one space; newlines stay."""
    return _SPACES.sub(" ", text)


def title_of(text: str) -> str:
    """A title that fits its column, "" if nothing can be seen in it."""
    title = one_line(text)
    return title if len(title) <= MAX_TITLE else title[: MAX_TITLE - 1].rstrip() + "…"


def title_of_file(name: str) -> str:
    """A title from a hostile file name, which may hold controls and markup; it is never used as a path.

    The folders of a plain relative path, as in "guides/set-up.md", stay; those of any other go.
    """
    *folders, last = re.split(r"[/\\]", clean(name))
    stem = last.rpartition(".")[0] or last
    kept = folders if "\\" not in name and not {"", ".", ".."} & set(folders) else []
    return title_of(re.sub(r"[_\s]+", " ", "/".join([*kept, stem]))) or "Untitled"


def key_of(value: str) -> str:
    """A row's identity in one line that fits its column: a long one ends with a digest of the whole."""
    key = one_line(value)
    if len(key) <= MAX_KEY:
        return key
    return f"{key[: MAX_KEY - 18]}… {hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}"


def clean_json(value: object) -> JSON:
    """A parsed JSON value that jsonb can store: strings cleaned, NaN and infinities become None."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {clean(str(key)): clean_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean_json(item) for item in value]
    return value if value is None or isinstance(value, bool | int) else clean(str(value))
