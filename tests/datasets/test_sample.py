"""The sample's material is sound, and every file of it can be read."""

from __future__ import annotations

import pytest

from datasets.reading import SUFFIXES, Text, chunk, read_here
from datasets.sample import HANDBOOK, load_personas, load_prompts
from datasets.sample.build import main as build

FILES = sorted(HANDBOOK.iterdir())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_of_the_handbook_is_read_without_a_problem(path) -> None:
    found = list(read_here(path, path.name))
    assert all(isinstance(text, Text) for text in found)
    assert 300 <= sum(len(text.text.split()) for text in found) <= 1600
    assert all(chunk(text) for text in found)
    assert not any("\n" in text.title or text.title == path.stem for text in found)


def test_the_handbook_shows_the_kinds_of_files() -> None:
    assert len(FILES) >= 15
    assert {SUFFIXES[path.suffix] for path in FILES} == set(SUFFIXES.values()) - {"tsv"}


def test_built_files_say_what_their_sources_say(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("datasets.sample.build.TARGET", tmp_path)
    build()
    for path in sorted(tmp_path.iterdir()):
        [built], [shipped] = list(read_here(path, path.name)), list(read_here(HANDBOOK / path.name, path.name))
        assert built.text == shipped.text
        assert built.headings == shipped.headings
        assert len(built.headings) > 3


def test_there_are_six_different_people_and_two_prompts() -> None:
    personas = load_personas()
    assert len({persona["name"] for persona in personas}) == 6
    assert all(0 < len(persona["description"].split()) <= 60 and persona["features"] for persona in personas)
    assert {prompt["role"] for prompt in load_prompts()} == {"respondent", "correspondent"}
