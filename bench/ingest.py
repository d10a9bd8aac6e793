"""How fast a file becomes searchable: extracted, cut, written and indexed.

    python -m bench.ingest [FILE] [--megabytes 20]

Without a FILE it makes a JSONL file of its own. Everything is as in production: one reader, real PostgreSQL, a real
vector process. Prints one JSON line: `seconds` in all, of which `read_s` was spent waiting for the text, `chunk_s`
cutting it, `index_s` indexing and `database_s` in everything else; the peak memory of this process in MB.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.stage import provide

WORDS = 20_000


def make_input(folder: Path, megabytes: float) -> Path:
    """Opinions of made-up words, whose frequencies follow Zipf's law: about 45 kB each."""
    dice = random.Random(7)
    words = ["".join(dice.choices("etaoinshrdlucmfwyp", k=dice.randint(2, 10))) for _ in range(WORDS)]
    weights = [1 / rank for rank in range(1, WORDS + 1)]
    path = folder / "made.jsonl"
    with path.open("w") as file:
        number = 0
        while file.tell() < megabytes * 1e6:
            number += 1
            paragraphs = (" ".join(dice.choices(words, weights, k=90)).capitalize() + "." for _ in range(90))
            file.write(json.dumps({"id": number, "title": f"Opinion {number}", "text": "\n\n".join(paragraphs)}) + "\n")
    return path


class Stopwatch:
    """Adds up the seconds spent in wrapped functions, by name."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def steps(self, name: str, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def timed(*args: Any) -> Iterator[Any]:
            items = function(*args)
            while True:
                begun = time.perf_counter()
                item = next(items, None)
                self.seconds[name] += time.perf_counter() - begun
                if item is None:
                    return
                yield item

        return timed

    def calls(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **options: Any) -> Any:
            begun = time.perf_counter()
            result = function(*args, **options)
            self.seconds[name] += time.perf_counter() - begun
            return result

        return timed

    def awaits(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        async def timed(*args: Any, **options: Any) -> Any:
            begun = time.perf_counter()
            result = await function(*args, **options)
            self.seconds[name] += time.perf_counter() - begun
            return result

        return timed


def measure(path: Path) -> dict[str, Any]:
    from django.conf import settings
    from django.core.files import File
    from django.utils.module_loading import import_string

    from datasets.index import PassageIndex
    from datasets.services.collecting import corpora, ingest, intake
    from datasets.services.projects import create_project

    import_string(settings.EMBEDDER)  # a worker has imported it long ago
    watch = Stopwatch()
    ingest.read = watch.steps("read_s", ingest.read)
    intake.chunk = watch.calls("chunk_s", intake.chunk)
    PassageIndex.upsert = watch.awaits("index_s", PassageIndex.upsert)
    corpus = corpora.create_corpus(project=create_project(name="Bench", owner=None), name="Bench", user=None)
    with path.open("rb") as opened:
        source, _ = corpora.store_file(corpus=corpus, name=path.name, file=File(opened), user=None)
    begun = time.perf_counter()
    ingest.ingest(source.pk)
    seconds = time.perf_counter() - begun
    source.refresh_from_db()
    assert source.state == source.State.READY, source.error
    stages = dict(watch.seconds, database_s=seconds - sum(watch.seconds.values()))
    return {
        "documents": source.document_count,
        "passages": source.passage_count,
        "passages_per_s": round(source.passage_count / seconds),
        "megabytes": round(source.size / 1e6, 1),
        "seconds": round(seconds, 2),
        **{name: round(spent, 2) for name, spent in stages.items()},
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, help="what to ingest")
    parser.add_argument("--megabytes", type=float, default=20, help="size of the file that is made when none is given")
    options = parser.parse_args()
    provide()
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or make_input(Path(folder), options.megabytes)
        print(json.dumps({"bench": "ingest", "file": path.name, **measure(path)}))


if __name__ == "__main__":
    main()
