"""The file of an export that is split: an archive of both sides, and a card that says which is which."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from datasets.formats.splitting import Relations, Split, Together, divide

TRAIN, VALIDATION, CARD = "train.jsonl", "validation.jsonl", "README.md"
_OFTEN = 2_000
"""Rows between two signs of life."""
_BLOCK = 2**20

TOGETHER: Mapping[Together, str] = {
    "documents": "Rows about the same document are all on one side.",
    "passages": "Rows about the same passage are all on one side.",
    "personas": "Rows of the same persona, or of personas from the same document, are all on one side.",
    "nothing": "Rows are divided one by one.",
}


@dataclass(slots=True)
class Places:
    """Where each row of a file ends, and to which others it is related, by what they have in common."""

    together: Together
    ends: array[int] = field(default_factory=lambda: array("Q"))
    relations: Relations = field(default_factory=Relations)

    def add(self, end: int, ties: Sequence[str]) -> None:
        self.ends.append(end)
        self.relations.add(ties)

    def read(self, file: BinaryIO, row: int) -> bytes:
        start = self.ends[row - 1] if row else 0
        file.seek(start)
        return file.read(self.ends[row] - start)


@dataclass(frozen=True, slots=True)
class Archive:
    size: int
    """Bytes."""
    sha256: str
    validation: int
    """Rows."""


def write_archive(
    *, rows: Path, places: Places, split: Split, target: Path, title: str, alive: Callable[[], None]
) -> Archive:
    """Divide the rows of a file into both files of an archive. `alive` is called often. Raises Inseparable.

    The same rows, divided in the same way, make the same archive, byte by byte.
    """
    train, validation = divide(places.relations, split)
    with rows.open("rb") as file, ZipFile(target, "w") as archive:
        archive.writestr(_member(CARD), card_of(title, split, len(train), len(validation)))
        for name, chosen in ((TRAIN, train), (VALIDATION, validation)):
            with archive.open(_member(name), "w", force_zip64=True) as member:
                for number, row in enumerate(chosen):
                    member.write(places.read(file, row))
                    if not number % _OFTEN:
                        alive()
    return Archive(target.stat().st_size, _digest(target), len(validation))


def unpack(archive: Path, targets: Mapping[str, Path]) -> None:
    """Write files of an archive to these places, by the name that they have in it."""
    with ZipFile(archive) as opened:
        for name, target in targets.items():
            with opened.open(name) as member, target.open("wb") as sink:
                for block in _blocks(member):
                    sink.write(block)


def card_of(title: str, split: Split, train: int, validation: int) -> str:
    """The front matter is what the `datasets` library of Hugging Face reads to find both sides."""
    order = f"divided by chance with the seed {split.seed}" if split.shuffle else "validation has the first of them"
    return f"""---
configs:
- config_name: default
  data_files:
  - split: train
    path: {TRAIN}
  - split: validation
    path: {VALIDATION}
---

# {" ".join(title.split())}

| split | file | rows |
|---|---|---|
| train | {TRAIN} | {train} |
| validation | {VALIDATION} | {validation} |

{TOGETHER[split.together]} {split.validation:g} of the rows were wanted for validation, {order}.
"""


def _member(name: str) -> ZipInfo:
    info = ZipInfo(name)
    info.compress_type = ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in _blocks(file):
            digest.update(block)
    return digest.hexdigest()


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block
