"""Personas as rows of JSONL or items of a YAML list. Pure: texts in, rows and sentences out, and the other way round.

A row names what it points to (its parent, its document), so that it can go from one project to another. Besides such
rows, the document rows of the AfterImage library are read, each of which holds personas in layers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import yaml
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from datasets.text import clean, clean_json

from .jsonl import encode

LONGEST_DESCRIPTION, LONGEST_PROMPT, MOST_FEATURES = 5_000, 20_000, 100
LONGEST_YAML = 2_000_000
"""In characters: YAML is slow to read. Larger files come as JSONL."""
DEEPEST_YAML = 20
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class Unreadable(Exception):
    """The text as a whole is neither; the message says what to do."""


def _scalar(value: Any) -> Any:
    """Numbers and truths are welcome as words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


_Scalar = BeforeValidator(_scalar)
Words = Annotated[str, _Scalar, StringConstraints(strip_whitespace=True, max_length=LONGEST_PROMPT)]
Name = Annotated[str, _Scalar, StringConstraints(strip_whitespace=True, max_length=100)]
Title = Annotated[str, _Scalar, StringConstraints(strip_whitespace=True, max_length=300)]
Description = Annotated[
    str, _Scalar, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_DESCRIPTION)
]


class PersonaRow(BaseModel):
    """One persona. `document` is a title; `corpus`, `file` and `key` tell documents of the same title apart.

    A row without a name gets one from its description.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: Name = ""
    description: Description = Field(validation_alias=AliasChoices("description", "persona"))
    features: Annotated[dict[Words, Words], Field(max_length=MOST_FEATURES)] = {}
    system_prompt: Words = ""
    document: Title = ""
    corpus: Title = ""
    file: Title = ""
    key: Title = ""
    parent: Name = ""
    depth: Annotated[int, Field(ge=0, le=1000)] = 0
    proposed: bool = False
    archived: bool = False
    model: Title = ""

    @model_validator(mode="after")
    def _stands_below_its_parent(self) -> PersonaRow:
        if self.parent and not self.depth:
            raise ValueError("a persona with a parent says in which layer it stands: give “depth”, 1 or more")
        return self


@dataclass(frozen=True, slots=True)
class Entry:
    """What stood at one place of a file. `text` is the document's own, where the place is a row of the library."""

    where: str
    rows: tuple[PersonaRow, ...]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one place of a file, in a sentence."""

    where: str
    sentence: str


# -- reading -----------------------------------------------------------------------------------------------------------


def read(text: str, *, is_yaml: bool | None = None) -> Iterator[Entry | Problem]:
    """What a JSONL or YAML text holds; which of them it is shows in its first character unless it is said.

    Raises Unreadable before the first item when the whole cannot be read.
    """
    text = text.removeprefix("\ufeff")
    if is_yaml is None:
        is_yaml = not text.lstrip().startswith(("{", "["))
    items = _yaml_items(text) if is_yaml else _json_items(text)
    return (item if isinstance(item, Problem) else _entry(*item) for item in items)


def _json_items(text: str) -> Iterable[tuple[str, Any] | Problem]:
    if text.lstrip().startswith("["):
        try:
            return _numbered(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise Unreadable("This cannot be read as JSON: write one object on each line.") from error
    return (_json_item(f"line {n}", line) for n, line in enumerate(text.split("\n"), 1) if line.strip())


def _json_item(where: str, line: str) -> tuple[str, Any] | Problem:
    try:
        return where, json.loads(line)
    except (ValueError, RecursionError):
        return Problem(where, "This line is not JSON: write one whole object on each line.")


def _yaml_items(text: str) -> Iterable[tuple[str, Any]]:
    if len(text) > LONGEST_YAML:
        raise Unreadable("This is too long to be read as YAML: bring it as JSONL, or in several files.")
    try:
        _check_shape(text)
        # Every scalar is read as the words that stand there: "25_34" is an age band, "yes" an answer, "1.0" a version.
        said = yaml.load(text, Loader=_LOADER)  # noqa: S506 - makes only texts
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise Unreadable(f"This cannot be read as YAML{where}: check its indents and quotation marks.") from error
    said = said or []
    said = said["personas"] if isinstance(said, dict) and isinstance(said.get("personas"), list) else said
    if not isinstance(said, list):
        raise Unreadable("Personas come as a list: begin each with “- name: …”.")
    return _numbered(said)


def _check_shape(text: str) -> None:
    """Refuses what a few bytes can make endless, or so deep that the loader, which recurses, breaks down."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise Unreadable("This uses aliases (“*name”): write out what they stand for.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST_YAML:
            raise Unreadable("This is nested too deeply for a list of personas.")


def _numbered(items: list[Any]) -> Iterable[tuple[str, Any]]:
    return ((f"persona {number}", item) for number, item in enumerate(items, 1))


def _entry(where: str, item: Any) -> Entry | Problem:
    if not isinstance(item, dict):
        return Problem(where, "A persona has a name and a description: this is neither.")
    try:
        if isinstance(item.get("personas"), list):
            return _library_entry(where, item)
        said = {name: value for name, value in clean_json(item).items() if value is not None}
        return Entry(where, (PersonaRow.model_validate(said),))
    except ValidationError as error:
        return Problem(where, _sentence(error))


def _library_entry(where: str, item: dict[str, Any]) -> Entry:
    """A document of the library: its personas stand in groups, one for each layer."""
    rows = [
        PersonaRow(description=clean_json(description), depth=_depth_of(group))
        for group in item["personas"]
        if isinstance(group, dict)
        for description in group.get("descriptions") or ()
    ]
    text = item.get("text")
    return Entry(where, tuple(rows), clean(text) if isinstance(text, str) else "")


def _depth_of(group: dict[str, Any]) -> int:
    """A depth that is missing or no number is 0, as the library has it."""
    metadata = group.get("metadata")
    depth = str(metadata.get("generation_depth")) if isinstance(metadata, dict) else ""
    return int(depth) if depth.isdecimal() and depth.isascii() and len(depth) <= 3 else 0


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"] if part != "[key]")
    match first["type"]:
        case "missing" | "string_too_short":
            return "It has no description: say who this person is."
        case "extra_forbidden":
            return f"“{name[:60]}” is not part of a persona: put it under “features”, or leave it out."
        case "string_too_long" | "too_long":
            return f"“{name[:60]}” is too long: at most {first['ctx']['max_length']:,}."
        case "value_error":
            said = str(first["ctx"]["error"])
            return f"{said[0].upper()}{said[1:]}."
    return f"“{name[:60]}” is not what it should be: {first['msg'][0].lower()}{first['msg'][1:]}."


# -- writing -----------------------------------------------------------------------------------------------------------


def write_jsonl(rows: Iterable[PersonaRow]) -> Iterator[str]:
    """A line each."""
    for row in rows:
        yield encode(_said(row)).decode()


def write_yaml(rows: Iterable[PersonaRow]) -> Iterator[str]:
    """A list, an item at a time."""
    written = False
    for row in rows:
        written = True
        yield yaml.dump([_said(row)], Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    if not written:
        yield "[]\n"


def _said(row: PersonaRow) -> dict[str, Any]:
    return row.model_dump(exclude_defaults=True)


class _Dumper(yaml.SafeDumper):
    """Says what stands twice twice: people edit these files."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
