"""Embeddings on this machine: SentenceTransformers in a process that all share. The tests make a tiny one themselves."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from generation.engine.errors import FatalError, TransientError
from generation.engine.providers import local_embedder
from generation.engine.providers.local_embedder import LocalEmbedder
from tests.engine.tiny_model import INSTALLED, WORDS, make_tiny, needs_the_extra

TEXTS = [f"{WORDS[n % 10]} {WORDS[n // 10 % 10]}" for n in range(100)]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for process in holders(tmp_path):
        process.kill()


def holders(place: Path) -> list[psutil.Process]:
    """The processes that hold models there."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if child.is_running() and str(place) in child.cmdline()]


def ended(processes: list[psutil.Process], within: float) -> bool:
    return psutil.wait_procs(processes, timeout=within)[1] == []


@pytest.mark.slow
@needs_the_extra
async def test_each_text_has_the_vector_that_the_model_gives_it_in_order(tiny: str, place: Path) -> None:
    from sentence_transformers import SentenceTransformer

    expected = SentenceTransformer(tiny, device="cpu").encode(TEXTS)
    embedder = LocalEmbedder(tiny, place=place, batch=7)
    vectors, others = await asyncio.gather(embedder.embed(TEXTS), embedder.embed(TEXTS[:9]))
    assert await embedder.embed([]) == []
    assert len(vectors) == len(TEXTS)
    assert others == vectors[:9]
    assert {len(vector) for vector in vectors} == {16}
    for vector, wanted in zip(vectors, expected.tolist(), strict=True):
        assert vector == pytest.approx(wanted, abs=1e-5)


@pytest.mark.slow
@needs_the_extra
async def test_the_event_loop_goes_on_while_a_model_is_loaded(tiny: str, place: Path) -> None:
    ticks = 0
    first = asyncio.create_task(LocalEmbedder(tiny, place=place).embed(TEXTS))
    while not first.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks > 10


@pytest.mark.slow
@needs_the_extra
def test_a_model_is_loaded_once_for_all_event_loops_and_processes(tiny: str, place: Path) -> None:
    asking = f"import asyncio; from {local_embedder.__name__} import *; place, tiny = Path({str(place)!r}), {tiny!r}\n"
    asking += "print(len(asyncio.run(LocalEmbedder(tiny, place=place).embed(['pump']))[0]))"

    def asked() -> float:
        begun = time.perf_counter()
        assert len(asyncio.run(LocalEmbedder(tiny, place=place).embed(["pump"]))[0]) == 16
        return time.perf_counter() - begun

    loading = asked()
    assert asked() < loading / 3
    (holder,) = holders(place)
    another = subprocess.run(
        [sys.executable, "-c", asking], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert another.stdout == "16\n"
    assert holders(place) == [holder]


async def test_of_several_that_begin_at_once_one_process_stays(place: Path) -> None:
    embedders = [LocalEmbedder(str(place / "nothing"), place=place) for _ in range(4)]
    failed = await asyncio.gather(*(one.embed(["text"]) for one in embedders), return_exceptions=True)
    assert {type(error) for error in failed} == {FatalError}
    await asyncio.sleep(0.5)
    assert len(holders(place)) == 1


async def test_it_ends_when_nobody_has_asked_for_a_while_and_is_started_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_embedder, "KEPT", 0.5)
    embedder = LocalEmbedder(str(place / "nothing"), place=place)
    for _ in range(2):
        with pytest.raises(FatalError):
            await embedder.embed(["text"])
        begun = holders(place)
        assert len(begun) == 1
        assert ended(begun, 10)


@pytest.mark.slow
@needs_the_extra
async def test_a_process_that_dies_is_a_passing_error_and_is_replaced(tiny: str, place: Path) -> None:
    embedder = LocalEmbedder(tiny, place=place)
    expected = await embedder.embed(["reset pump"])
    (holder,) = holders(place)
    holder.send_signal(signal.SIGSTOP)
    asking = asyncio.create_task(embedder.embed(["reset pump"]))
    await asyncio.sleep(0.2)
    holder.kill()
    with pytest.raises(TransientError, match="died"):
        await asking
    assert await embedder.embed(["reset pump"]) == expected


@pytest.mark.slow
@needs_the_extra
async def test_a_model_that_is_not_there_is_named(place: Path) -> None:
    with pytest.raises(FatalError, match=r"“.*nothing” cannot be loaded: "):
        await LocalEmbedder(str(place / "nothing"), place=place).embed(["text"])


def test_it_ends_with_a_parent_that_is_killed(place: Path) -> None:
    program = place / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import asyncio, sys, time
            from pathlib import Path
            from generation.engine.errors import FatalError
            from generation.engine.providers.local_embedder import LocalEmbedder

            try:
                asyncio.run(LocalEmbedder("/nowhere", place=Path(sys.argv[1])).embed(["pump"]))
            except FatalError:
                print("ready", flush=True)
            time.sleep(60)
            """
        )
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, program, place], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    children = psutil.Process(parent.pid).children(recursive=True)
    assert children
    parent.kill()
    parent.wait(5)
    assert ended(children, 10)


def test_a_place_that_others_may_write_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_embedder.tempfile, "gettempdir", lambda: str(tmp_path))
    place = local_embedder.usual_place()
    assert place.stat().st_mode & 0o777 == 0o700
    place.chmod(0o770)
    with pytest.raises(FatalError, match="remove it"):
        local_embedder.usual_place()


@pytest.mark.skipif(INSTALLED, reason="the extra local-embeddings is installed")
async def test_without_the_extra_the_error_says_what_to_install(place: Path) -> None:
    with pytest.raises(FatalError, match=r"pip install .*local-embeddings"):
        await LocalEmbedder("any/model", place=place).embed(["text"])
