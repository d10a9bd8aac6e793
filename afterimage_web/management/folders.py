"""A folder of documents read into a corpus by the commands that work without a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.core.files import File
from tqdm import tqdm

from datasets.models import Corpus, Project, SourceFile
from datasets.services.collecting import corpora, ingest
from datasets.services.collecting.corpora import Options
from datasets.services.errors import Refused


@dataclass(slots=True)
class Tally:
    """How many files were read, were there already as they are, and could not be read."""

    read: int = 0
    unchanged: int = 0
    failed: int = 0


def corpus_named(project: Project, name: str) -> Corpus:
    """That corpus of the project, which is made if there is none."""
    return project.corpora.filter(name=name).first() or corpora.create_corpus(project=project, name=name, user=None)


def read_folder(folder: Path, corpus: Corpus, say: Callable[[str], None]) -> Tally:
    """Read what is new or has changed, in this process; files keep the paths that they have below the folder.

    `say` is told what is wrong with a file, while the others go on.
    """
    return read_files(sorted(documents_in(folder)), folder, corpus, say)


def read_files(
    paths: Sequence[Path], root: Path, corpus: Corpus, say: Callable[[str], None], options: Options | None = None
) -> Tally:
    """The same for these files, which are below `root`, read by these options."""
    tally = Tally()
    for path in tqdm(paths, desc="Reading", unit="file"):
        name = path.relative_to(root)
        try:
            source, changed = _stored(path, name, corpus, options)
        except Refused as refusal:
            say(f"{name}: {refusal}")
            tally.failed += 1
            continue
        if changed or source.state != SourceFile.State.READY:
            ingest.ingest(source.pk)
            source.refresh_from_db()
        if source.error:
            say(f"{source.name}: {source.error}")
        tally.failed += source.state == SourceFile.State.FAILED
        tally.read += changed and source.state == SourceFile.State.READY
        tally.unchanged += not changed and source.state == SourceFile.State.READY
    return tally


def _stored(path: Path, name: Path, corpus: Corpus, options: Options | None) -> tuple[SourceFile, bool]:
    with path.open("rb") as opened:
        return corpora.store_file(
            corpus=corpus, name=name.name, folder=str(name.parent), file=File(opened), user=None, options=options
        )


def documents_in(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
