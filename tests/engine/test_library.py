"""The engine without the application: the example as a program of its own, and what its parts promise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.schema import Dialog, Message
from generation.engine.errors import FatalError
from generation.engine.library import JsonLines, briefs, dialog_maker, run
from generation.engine.protocols import Kept, PersonaSketch, Speaker
from tests.engine.parts import Model, in_turn
from tests.fixtures_model_server import RunningModelServer

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ["The pump is serviced every seven weeks.", "A guest code opens the door for 30 days."]


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_example_makes_a_file_of_conversations_with_no_trace_of_the_web_framework(
    model_server: RunningModelServer, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    program = (
        "import asyncio, sys\n"
        "from examples import library\n"
        f"asyncio.run(library.main({model_server.base_url!r}, 'm', {str(out)!r}))\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] in ('django', 'celery', 'ninja')]\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "10 made, 0 failed"
    made = rows(out)
    assert len(made) == 10
    for row in made:
        said = [message["role"] for message in row["messages"]]
        assert said[0] == "system"
        assert said[1:] == ["user", "assistant"] * (len(said) // 2)
    assert len({row["messages"][1]["content"] for row in made}) == 10


def test_briefs_deal_texts_and_personas_evenly_and_the_same_for_the_same_seed() -> None:
    people = [PersonaSketch("Ada", "asks"), PersonaSketch("Ben", "asks")]
    dealt = list(briefs(TEXTS, 8, personas=people, seed=3))
    assert dealt == list(briefs(TEXTS, 8, personas=people, seed=3))
    assert [sum(brief.contexts[0].text == text for brief in dealt) for text in TEXTS] == [4, 4]
    assert [sum(brief.persona == person for brief in dealt) for person in people] == [4, 4]


async def test_an_error_that_only_a_person_can_mend_ends_the_run_and_keeps_what_was_made(tmp_path: Path) -> None:
    questions = [json.dumps({"instructions": [f"What about thing number {n}?"]}) for n in range(3)]
    model = Model(in_turn("instruction", *questions, FatalError("Wrong key.")))
    sink = JsonLines(tmp_path / "out.jsonl")
    tally = await run(dialog_maker(Speaker(model), "You help."), briefs(TEXTS, 100, max_turns=1), sink, concurrency=1)
    assert (tally.made, tally.fatal) == (3, "Wrong key.")
    assert len(rows(tmp_path / "out.jsonl")) == 3


async def test_a_second_run_adds_to_the_file(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "out.jsonl")
    dialog = Dialog(messages=(Message(role="user", content="Grüße?\nJa"),), persona="Ada")
    await sink.keep([Kept("1", dialog, 0.5)])
    await sink.keep([Kept("2", dialog)])
    assert rows(tmp_path / "out.jsonl") == [
        {"messages": [{"role": "user", "content": "Grüße?\nJa"}], "persona": "Ada", "score": 0.5},
        {"messages": [{"role": "user", "content": "Grüße?\nJa"}], "persona": "Ada"},
    ]


@pytest.mark.parametrize("concurrency", [1, 7, 200])
async def test_exactly_as_many_are_made_as_there_are_briefs(tmp_path: Path, concurrency: int) -> None:
    class Keep:
        keys: list[str] = []

        async def keep(self, kept: list[Kept]) -> None:
            self.keys += [one.key for one in kept]

    def asks(number: int) -> str:
        return json.dumps({"instructions": [f"What is it about thing {number} and its {number * 7} parts?"]})

    model = Model(in_turn("instruction", *(asks(n) for n in range(50))))
    sink = Keep()
    sink.keys = []
    await run(dialog_maker(Speaker(model), "You help."), briefs(TEXTS, 50, max_turns=1), sink, concurrency=concurrency)
    assert sorted(sink.keys, key=int) == [str(n) for n in range(50)]
