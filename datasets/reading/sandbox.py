"""Every file is read in a process of its own, bounded in memory and time, because parsers of hostile files may hang,
crash or eat all memory, and pdfium is not safe with threads.

`stream` runs in the parent, `serve` in the child; between them go lines of JSON, one a document or a problem.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from .contract import Heading, Problem, ReadOptions, Text, Unreadable

ORPHAN_SECONDS = 3_600  # of processor time, after which a child ends by itself, should its parent have died
_ROOT = Path(__file__).resolve().parents[2]
_BLOCK = 2**20
_OUT_OF_MEMORY = 3

TOO_SLOW = "Reading the file took longer than {seconds:,.0f} s and was stopped: save it again in a simpler form, as PDF or text."
TOO_BIG = "Reading the file needs more than {megabytes:,.0f} MB of memory: cut it into smaller files."
CRASHED = "The file broke the program that reads it: open it, save it again in another format and upload that."


def stream(path: Path, name: str, options: ReadOptions) -> Iterator[Text | Problem]:
    """What the child finds in the file. Raises Unreadable, also if the child crashes or is idle for `options.seconds`."""
    command = [sys.executable, "-m", "datasets.reading"]
    environment = {"PYTHONPATH": str(_ROOT), "PYTHONUTF8": "1"}
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, env=environment, cwd="/"
        ) as child,
    ):
        try:
            _send(child, {"path": str(path.resolve()), "name": name, "options": asdict(options)})
            for line in _lines(child, options.seconds):
                yield _received(json.loads(line))
            _check_end(child, complaints, options)
        finally:
            child.kill()


def _send(child: subprocess.Popen[bytes], order: dict[str, object]) -> None:
    assert child.stdin is not None
    child.stdin.write(json.dumps(order).encode())
    child.stdin.close()


def _lines(child: subprocess.Popen[bytes], seconds: float) -> Iterator[bytes]:
    """The child's lines as they come; a wait of `seconds` for the next one ends it."""
    assert child.stdout is not None
    parts: list[bytes] = []
    with selectors.DefaultSelector() as waiting:
        waiting.register(child.stdout, selectors.EVENT_READ)
        until = time.monotonic() + seconds
        while True:
            if not waiting.select(max(0.0, until - time.monotonic())):
                raise Unreadable(TOO_SLOW.format(seconds=seconds))
            block = os.read(child.stdout.fileno(), _BLOCK)
            if not block:
                return
            first, *rest = block.split(b"\n")
            parts.append(first)
            for part in rest:
                yield b"".join(parts)
                parts = [part]
                until = time.monotonic() + seconds


def _received(message: dict[str, dict[str, Any]]) -> Text | Problem:
    [(kind, fields)] = message.items()
    if kind == "unreadable":
        raise Unreadable(fields["sentence"])
    if kind == "problem":
        return Problem(**fields)
    headings = tuple(Heading(*heading) for heading in fields["headings"])
    return Text(**{**fields, "pages": tuple(fields["pages"]), "headings": headings})


def _check_end(child: subprocess.Popen[bytes], complaints: BinaryIO, options: ReadOptions) -> None:
    """Raises Unreadable unless the child came to its own end."""
    status = child.wait()
    if status == _OUT_OF_MEMORY:
        raise Unreadable(TOO_BIG.format(megabytes=options.max_memory / 1e6))
    if status:
        complaints.seek(0)
        said = complaints.read(_BLOCK).decode(errors="replace")[-4000:]
        raise Unreadable(CRASHED) from RuntimeError(f"the reader ended with {status}: {said}")


def serve() -> None:
    """Reads the one file that standard input names, and writes what it finds to standard output."""
    from . import read_here

    order = json.load(sys.stdin)
    options = ReadOptions(**order["options"])
    resource.setrlimit(resource.RLIMIT_AS, (options.max_memory, options.max_memory))
    resource.setrlimit(resource.RLIMIT_CPU, (ORPHAN_SECONDS, ORPHAN_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        for found in read_here(Path(order["path"]), order["name"], options):
            _write("text" if isinstance(found, Text) else "problem", asdict(found))
    except Unreadable as error:
        _write("unreadable", {"sentence": error.sentence})
    except MemoryError:
        os._exit(_OUT_OF_MEMORY)


def _write(kind: str, fields: dict[str, object]) -> None:
    sys.stdout.write(json.dumps({kind: fields}) + "\n")
    sys.stdout.flush()
