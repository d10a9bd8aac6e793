"""Embeddings on this machine: a SentenceTransformer in processes of its own. The tests make a tiny one themselves."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from generation.engine.errors import FatalError, TransientError
from generation.engine.providers.local_embedder import LocalEmbedder
from tests.engine.tiny_model import INSTALLED, WORDS, make_tiny, needs_the_extra

TEXTS = [f"{WORDS[n % 10]} {WORDS[n // 10 % 10]}" for n in range(100)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def processes() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


@pytest.mark.slow
@needs_the_extra
async def test_each_text_has_the_vector_that_the_model_gives_it_in_order_over_all_processes(tiny: str) -> None:
    from sentence_transformers import SentenceTransformer

    expected = SentenceTransformer(tiny, device="cpu").encode(TEXTS)
    async with LocalEmbedder(tiny, workers=2, batch=7) as embedder:
        vectors = await embedder.embed(TEXTS)
        assert await embedder.embed([]) == []
    assert len(vectors) == len(TEXTS)
    assert {len(vector) for vector in vectors} == {16}
    for vector, wanted in zip(vectors, expected.tolist(), strict=True):
        assert vector == pytest.approx(wanted, abs=1e-5)


@pytest.mark.slow
@needs_the_extra
async def test_the_event_loop_goes_on_while_texts_are_embedded_and_the_model_is_loaded_once(tiny: str) -> None:
    async with LocalEmbedder(tiny) as embedder:
        ticks = 0
        first = asyncio.create_task(embedder.embed(TEXTS))
        begun = time.perf_counter()
        while not first.done():
            await asyncio.sleep(0.01)
            ticks += 1
        loading = time.perf_counter() - begun
        begun = time.perf_counter()
        await embedder.embed(TEXTS)
        again = time.perf_counter() - begun
    assert ticks > 10
    assert again < loading / 3


@pytest.mark.slow
@needs_the_extra
async def test_its_processes_end_with_it(tiny: str) -> None:
    before = processes()
    async with LocalEmbedder(tiny, workers=2) as embedder:
        await asyncio.gather(*(embedder.embed(TEXTS) for _ in range(4)))
        assert processes() - before
    await asyncio.sleep(0.1)
    # What Python itself starts to look after them stays with this process.
    left = [psutil.Process(pid).cmdline() for pid in processes() - before]
    assert all("resource_tracker" in " ".join(command) for command in left)


@pytest.mark.slow
@needs_the_extra
async def test_a_process_that_dies_is_a_passing_error_and_is_replaced(tiny: str) -> None:
    async with LocalEmbedder(tiny) as embedder:
        before = processes()
        expected = await embedder.embed(["reset pump"])
        for pid in processes() - before:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(TransientError, match="died"):
            await embedder.embed(["reset pump"])
        assert await embedder.embed(["reset pump"]) == expected


@pytest.mark.slow
@needs_the_extra
async def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with LocalEmbedder(str(tmp_path / "nothing")) as embedder:
        with pytest.raises(FatalError, match=r"“.*nothing” cannot be loaded: "):
            await embedder.embed(["text"])


@pytest.mark.slow
@needs_the_extra
def test_its_processes_end_with_a_parent_that_is_killed(tiny: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import asyncio, sys
            from generation.engine.providers.local_embedder import LocalEmbedder

            async def main():
                async with LocalEmbedder(sys.argv[1]) as embedder:
                    await embedder.embed(["pump"])
                    print("ready", flush=True)
                    await asyncio.sleep(60)

            if __name__ == "__main__":
                asyncio.run(main())
            """
        )
    )
    root = Path(__file__).parents[2]
    parent = subprocess.Popen(
        [sys.executable, str(program), tiny], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    children = psutil.Process(parent.pid).children(recursive=True)
    assert children
    parent.kill()
    parent.wait(5)
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []


@pytest.mark.skipif(INSTALLED, reason="the extra local-embeddings is installed")
async def test_without_the_extra_the_error_says_what_to_install() -> None:
    async with LocalEmbedder("any/model") as embedder:
        with pytest.raises(FatalError, match=r"pip install .*local-embeddings"):
            await embedder.embed(["text"])
