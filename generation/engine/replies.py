"""Reading what models answer: plain text, or JSON however it is wrapped. What cannot be read is a BadReply."""

from __future__ import annotations

import json
import math
import re
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError

from .errors import BadReply
from .protocols import Completion

Shape = TypeVar("Shape", bound=BaseModel)

_FENCED = re.compile(r"\A```[\w-]*[ \t]*\n(.*?)\n?```\Z", re.DOTALL)
_WRAPPED = re.compile(r"\A<(\w+)>((?:(?!</?\1>).)*)</\1>\Z", re.DOTALL)
_QUOTED = re.compile(r'\A(?:"([^"]*)"|“([^“”]*)”|«([^«»]*)»)\Z', re.DOTALL)
_OPENER = re.compile(r"[{\[]")


def _number(said: str) -> float:
    """Python takes NaN and overflowing numbers for JSON; no database and no other reader does."""
    if not math.isfinite(value := float(said)):
        raise ValueError(f"{said} is not a number of JSON.")
    return value


_DECODER = json.JSONDecoder(parse_float=_number, parse_constant=_number)


def storable(text: str) -> str:
    """`text` without what PostgreSQL cannot keep: NUL characters and halves of surrogate pairs."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    return text if text.isascii() else text.encode("utf-8", "ignore").decode()


def word(said: str, limit: int = 40) -> str:
    """What a server calls something, on one line and no longer than `limit`."""
    line = " ".join(storable(said[: 4 * limit]).split())
    return "".join(letter for letter in line if letter.isprintable())[:limit]


Said = Annotated[str, AfterValidator(storable), AfterValidator(str.strip)]


def text(completion: Completion) -> str:
    """The words of a reply. Raises BadReply when there are none."""
    said = completion.text.strip()
    if not said:
        raise BadReply("The reply was empty.")
    return said


def message(completion: Completion) -> str:
    """One chat message: the words, out of any tags or quotation marks that the model put around the whole."""
    said = strip_tags(text(completion))
    quoted = _QUOTED.match(said)
    said = quoted[quoted.lastindex or 0].strip() if quoted else said
    if not said:
        raise BadReply("The reply was empty.")
    return said


def loads(said: str) -> Any:
    """`said`, which is JSON as a whole. Raises ValueError when it is not."""
    value, end = _DECODER.raw_decode(said := said.strip())
    if end < len(said):
        raise ValueError("Something follows the JSON.")
    return value


def json_value(completion: Completion) -> Any:
    """The JSON in a reply: the whole, a fenced block, or the first value that stands between other words."""
    said = text(completion)
    fenced = _FENCED.match(said)
    said = fenced[1] if fenced else said
    for start in (0, *(found.start() for found in _OPENER.finditer(said))):
        try:
            return _DECODER.raw_decode(said, start)[0]
        except ValueError:
            continue
    raise BadReply(f"The reply was not JSON: {excerpt(said)}")


def structured(completion: Completion, shape: type[Shape]) -> Shape:
    """The JSON in a reply as a `shape`."""
    try:
        return shape.model_validate(json_value(completion))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "reply"
        raise BadReply(f"The reply did not have the promised form: {where}: {first['msg']}") from error


def strip_tags(said: str) -> str:
    """`said` out of a code fence or a pair of tags around the whole of it. Nothing else is touched."""
    said = said.strip()
    while inner := _FENCED.match(said) or _WRAPPED.match(said):
        said = inner[inner.lastindex or 0].strip()
    return said


def excerpt(said: str, limit: int = 120) -> str:
    """The beginning of `said` on one line, for error messages."""
    line = " ".join(said[: 2 * limit].split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
