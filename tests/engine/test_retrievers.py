"""A retriever whose index goes away for a moment."""

from __future__ import annotations

import pytest

from datasets.schema import Source
from generation.engine.errors import FatalError, TransientError
from generation.engine.retrievers import Patient
from tests.engine.parts import source


class Shaky:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked = 0

    async def retrieve(self, query: str) -> tuple[Source, ...]:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return (source(1, score=1.0),)


async def test_an_index_that_comes_back_is_asked_again() -> None:
    shaky = Shaky(TransientError("away"), TransientError("away"))
    assert len(await Patient(shaky, (0.0, 0.0)).retrieve("q")) == 1
    assert shaky.asked == 3


async def test_patience_has_an_end() -> None:
    shaky = Shaky(*[TransientError("away")] * 9)
    with pytest.raises(TransientError):
        await Patient(shaky, (0.0, 0.0)).retrieve("q")
    assert shaky.asked == 3


async def test_other_errors_are_passed_on_at_once() -> None:
    shaky = Shaky(FatalError("no such corpus"))
    with pytest.raises(FatalError):
        await Patient(shaky).retrieve("q")
    assert shaky.asked == 1
