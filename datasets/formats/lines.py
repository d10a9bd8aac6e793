"""Lines of JSON out of a file that somebody brings along: each read by itself, so that a bad one spoils no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from datasets.text import clean_json

LONGEST = 4 * 2**20
"""Bytes of a line."""

_BLANK = b"\xef\xbb\xbf\x00 \t\r\n"


@dataclass(frozen=True, slots=True)
class Line:
    """Line `number`, from 1, which ends before byte `end`: an object, or why it is none. A blank line is neither."""

    number: int
    end: int
    row: dict[str, Any] | None = None
    problem: str = ""


def lines(file: BinaryIO, *, number: int = 0, limit: int = LONGEST) -> Iterator[Line]:
    """The lines from where `file` stands, the first of which is `number` + 1."""
    while text := file.readline(limit + 1):
        number += 1
        if len(text) > limit:
            _skip(file, text)
            yield Line(number, file.tell(), problem=f"It is longer than {limit // 2**20} MB: split it or leave it out.")
            continue
        row, problem = _parsed(text)
        yield Line(number, file.tell(), row, problem)


def _skip(file: BinaryIO, text: bytes) -> None:
    while text and not text.endswith(b"\n"):
        text = file.readline(2**20)


def _parsed(text: bytes) -> tuple[dict[str, Any] | None, str]:
    bare = text.strip(_BLANK)
    if not bare:
        return None, ""
    try:
        value = clean_json(json.loads(bare.decode().replace("\0", ""), parse_float=_float, parse_constant=_refuse))
    except UnicodeDecodeError as error:
        return None, f"It is not UTF-8 (at byte {error.start + 1}): save the file as UTF-8, or mend the line."
    except RecursionError:
        return None, "Its JSON is nested too deeply: flatten it or leave it out."
    except json.JSONDecodeError as error:
        return None, _said(error, torn=not text.endswith(b"\n"))
    except ValueError as error:
        return None, str(error) if isinstance(error, _NoNumber) else "It holds a number that is too long: shorten it."
    if isinstance(value, dict):
        return value, ""
    return None, "It holds JSON, but no object: write each conversation as an object on a line."


class _NoNumber(ValueError):
    """A number that JSON does not have, although Python writes and reads it."""


def _refuse(name: str) -> NoReturn:
    raise _NoNumber(f"It holds {name}, which is no number in JSON: write null or a number.")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _NoNumber(f"It holds the number {text[:20]}, which is too large: shorten it.")
    return value


def _said(error: json.JSONDecodeError, *, torn: bool) -> str:
    if torn:
        return "It breaks off in the middle, at the end of the file: whatever wrote the file was stopped."
    return f"It is not JSON ({error.msg.rstrip('.')} at character {error.pos + 1}): mend it or leave it out."
